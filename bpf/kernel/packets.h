/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Devices, routes and neighbours, and the headers of packets. See sockets.h for what a struct here is. */
#ifndef KERNEL_PACKETS_H
#define KERNEL_PACKETS_H

#include "kernel/sockets.h"
#include "kernel/uapi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct rtable {
	struct dst_entry dst;
	unsigned int rt_flags;
};

struct rt6_info {
	struct dst_entry dst;
	__u32 rt6i_flags;
};

struct neigh_table {
	int family;
	unsigned int key_len;
};

struct neighbour {
	struct neigh_table *tbl;
	__u8 nud_state;
	struct net_device *dev;
	__u8 primary_key[0];
};

/* Values differ between kernels. */
enum skb_drop_reason { SKB_DROP_REASON_NOT_SPECIFIED = 2, SKB_DROP_REASON_QUEUE_PURGE = 3 };

#pragma clang attribute pop

/* Routes that lead to this host: RTCF_LOCAL of IPv4, RTF_LOCAL of IPv6. */
#define ROUTE_LOCAL 0x80000000U
#define SKB_DST_NOREF 1UL
#define NUD_FAILED 0x20

/* On the wire, so that no kernel can change them. */
struct ipv4_header {
	__u8 version_and_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct ipv6_header {
	__be32 version_and_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

/* TCP, and of UDP and SCTP the ports. */
struct transport_header {
	__be16 source;
	__be16 destination;
	__be32 sequence;
	__be32 acknowledged;
	__u8 offset;
	__u8 flags;
	__be16 window;
};
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10

#endif
