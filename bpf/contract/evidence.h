/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Evidence of trouble: packets that the kernel dropped, neighbours that did not answer, tables that were full. What happened,
 * where, and how often.
 */
#ifndef CONTRACT_EVIDENCE_H
#define CONTRACT_EVIDENCE_H

#include "contract/types.h"

enum evidence_kind {
	EVIDENCE_DROP = 1, /* a packet was dropped; `reason` is a value of the kernel's enum skb_drop_reason */
	EVIDENCE_NEIGHBOUR_UNRESOLVED = 2, /* nobody answered for `remote_addr`: its entry became NUD_FAILED */
	EVIDENCE_NEIGHBOUR_OVERFLOW = 3,   /* the table had no room for `remote_addr` */
};

enum packet_direction {
	PACKET_RECEIVE = 1,  /* it had come in, and went no further than here */
	PACKET_TRANSMIT = 2, /* it was this namespace's own */
	PACKET_FORWARD = 3,  /* it had come in, and was to go on: its sender is `local_addr` */
};

/*
 * What is counted apart. Addresses and ports are zero where the packet has none or shows none. A packet does not show
 * who opened its connection: the server's port is the one that a SYN goes to or a SYN-ACK comes from, else the smaller.
 */
struct evidence_key {
	__u64 cgroup;         /* of the packet's socket; 0: none is known */
	__u8 local_addr[16];  /* of what is received its destination, else its source */
	__u8 remote_addr[16]; /* the other one; of a neighbour its address */
	__u32 netns;          /* inode number; 0: nothing showed it */
	__u32 ifindex;        /* of the device in that namespace; 0: none */
	__u32 reason;         /* of a drop, else 0 */
	__u16 server_port;    /* host order */
	__u16 ether_type; /* host order: 0x0800 IPv4, 0x86dd IPv6, 0x0806 ARP, and what else there is; 0: not known */
	__u8 kind;        /* enum evidence_kind */
	__u8 direction;   /* enum packet_direction; 0 where it is no packet */
	__u8 transport;   /* IPPROTO_…; 0: none */
	__u8 role;        /* enum edge_role of `local_addr`, by server_port; 0 where that is 0 */
	__u8 syn;         /* TCP: 1 where it begins a connection, as SYN or SYN-ACK */
	__u8 zero[3];
};

#define DEVICE_NAME_MAX 16

/*
 * Growth of one key since it was last settled. The agent sends the payload back as COMMAND_SETTLE_EVIDENCE when the
 * Collector has accepted what was made from it.
 */
struct frame_evidence {
	struct evidence_key key;
	__u64 exchange;
	__u64 since_ns; /* the growth happened after this */
	__u64 count;
	char device[DEVICE_NAME_MAX]; /* as it was called when the key was first seen; "": not known */
};

#define REASON_NAME_MAX 48

/* All of one kind and reason since the maps were made, exact at any rate. */
struct frame_evidence_total {
	__u32 kind;
	__u32 reason;
	__u64 count;
	__u64 started_ns; /* when the maps were made */
	__u64 left_out;   /* of those, that no FRAME_EVIDENCE has: its table was full, or the reason's share of it */
	char name[REASON_NAME_MAX]; /* the kernel's name of the reason, without SKB_DROP_REASON_; "": no enum has it */
};

/* One of the kernel's two neighbour tables: all namespaces share it. Absolute, since the machine started. */
struct frame_neighbour_table {
	__u32 family; /* AF_INET or AF_INET6 */
	__u32 gc_thresh1;
	__u32 gc_thresh2;
	__u32 gc_thresh3; /* the most that it holds */
	__u64 entries;
	__u64 table_fulls; /* /proc/net/stat/arp_cache and ndisc_cache; so is the next */
	__u64 unresolved;  /* res_failed */
};

#endif
