/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A packet → where it was, which way it went, and between whom: as much as its bytes, its socket and its route show.
 *
 * A packet may be dropped anywhere: before its headers are found, after its device is forgotten. So each part has a
 * zero for "not known", and nothing is guessed. All that is read may be stale memory: no read of it can fail the kernel.
 */
#ifndef DROPS_PACKET_H
#define DROPS_PACKET_H

#include "common/cgroups.h"
#include "common/edge_keys.h"
#include "contract/evidence.h"
#include "kernel/helpers.h"
#include "kernel/packets.h"
#include "kernel/tcp_sock.h"

/* Whether it is a socket, and not what stands for one in a handshake or after its end. */
static __always_inline bool sock__is_full(struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state != TCP_NEW_SYN_RECV && state != TCP_TIME_WAIT;
}

/* NULL where it has none. */
static __always_inline struct dst_entry *packet__route(struct sk_buff *skb)
{
	return (struct dst_entry *)(skb->_skb_refdst & ~SKB_DST_NOREF);
}

/* Whether the packet's route ends at this host. @param route not NULL */
static __always_inline bool route__is_local(struct dst_entry *route, __u16 ether_type)
{
	if (ether_type == ETH_P_IPV6)
		return BPF_CORE_READ((struct rt6_info *)route, rt6i_flags) & ROUTE_LOCAL;
	return BPF_CORE_READ((struct rtable *)route, rt_flags) & ROUTE_LOCAL;
}

/*
 * What has come in has the number of its device. What this host sends has a socket or a route by then; a device that
 * hands a packet on to its peer takes the socket from it.
 */
static __always_inline __u8 packet__direction(struct sk_buff *skb, struct sock *owner, struct dst_entry *route,
					      __u16 ether_type)
{
	if (skb->skb_iif)
		return route && !route__is_local(route, ether_type) ? PACKET_FORWARD : PACKET_RECEIVE;
	return owner || route ? PACKET_TRANSMIT : PACKET_RECEIVE;
}

static __always_inline void key__set_addresses(struct evidence_key *key, const __u8 *source, const __u8 *destination)
{
	bool received = key->direction == PACKET_RECEIVE;

	__builtin_memcpy(key->local_addr, received ? destination : source, 16);
	__builtin_memcpy(key->remote_addr, received ? source : destination, 16);
}

/* The server's port, and which end has it. */
static __always_inline void key__set_ports(struct evidence_key *key, const struct transport_header *header)
{
	__u16 source = bpf_ntohs(header->source), destination = bpf_ntohs(header->destination);
	bool to_server = destination <= source, received = key->direction == PACKET_RECEIVE;

	if (key->transport == IPPROTO_TCP && (header->flags & TCP_FLAG_SYN)) {
		to_server = !(header->flags & TCP_FLAG_ACK);
		key->syn = 1;
	}
	key->server_port = to_server ? destination : source;
	if (key->server_port)
		key->role = to_server == received ? ROLE_SERVER : ROLE_CLIENT;
}

static __always_inline bool transport__has_ports(__u8 transport)
{
	return transport == IPPROTO_TCP || transport == IPPROTO_UDP || transport == IPPROTO_SCTP;
}

/* @param at where the transport's header begins */
static __always_inline void packet__read_ports(struct evidence_key *key, const void *at)
{
	struct transport_header header = {};
	/* A datagram may end behind its ports. */
	long failed = key->transport == IPPROTO_TCP ? bpf_probe_read_kernel(&header, sizeof(header), at)
						    : bpf_probe_read_kernel(&header, 4, at);

	if (!failed)
		key__set_ports(key, &header);
}

static __always_inline void packet__read_v4(struct evidence_key *key, const void *at)
{
	__u8 source[16] = {}, destination[16] = {};
	struct ipv4_header header;

	if (bpf_probe_read_kernel(&header, sizeof(header), at) || header.version_and_length >> 4 != 4)
		return;
	address__from_v4(source, header.source);
	address__from_v4(destination, header.destination);
	address__collapse_loopback(source);
	address__collapse_loopback(destination);
	key__set_addresses(key, source, destination);
	key->transport = header.protocol;
	/* Fragments but the first have no ports. */
	if (transport__has_ports(key->transport) && !(header.fragment & bpf_htons(0x1fff)))
		packet__read_ports(key, at + (header.version_and_length & 0xf) * 4);
}

/* Behind an extension header nothing is looked for: `transport` is that header's number then. */
static __always_inline void packet__read_v6(struct evidence_key *key, const void *at)
{
	struct ipv6_header header;

	if (bpf_probe_read_kernel(&header, sizeof(header), at) ||
	    (header.version_and_flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return;
	key__set_addresses(key, header.source, header.destination);
	key->transport = header.next_header;
	if (transport__has_ports(key->transport))
		packet__read_ports(key, at + sizeof(header));
}

/* Device and namespace. @return the device, for its name */
static __always_inline struct net_device *packet__read_place(struct evidence_key *key, struct sk_buff *skb,
							     struct sock *sk, struct dst_entry *route)
{
	struct net_device *dev = skb->dev;

	key->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	key->ifindex = key->netns ? (__u32)BPF_CORE_READ(dev, ifindex) : 0;
	if (key->netns)
		return dev;
	/* Not sent yet, or in a UDP socket already: only the route has a device. That of what is received is loopback. */
	dev = BPF_CORE_READ(route, dev);
	key->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	if (key->netns && key->direction == PACKET_TRANSMIT)
		key->ifindex = (__u32)BPF_CORE_READ(dev, ifindex);
	if (!key->netns)
		key->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return dev;
}

/*
 * Fills the key but for its kind, reason and cgroup.
 *
 * @param owner the packet's own socket, or NULL
 * @param sk the socket that it was for, where that is known, else its own
 * @return the device of key->ifindex
 */
static __always_inline struct net_device *packet__describe(struct evidence_key *key, struct sk_buff *skb,
							   struct sock *owner, struct sock *sk)
{
	struct dst_entry *route = packet__route(skb);
	const void *at = skb->head + skb->network_header;
	__u16 offset = skb->network_header;

	key->ether_type = bpf_ntohs(skb->protocol);
	key->direction = packet__direction(skb, owner, route, key->ether_type);
	if (offset != 0xffff && key->ether_type == ETH_P_IP)
		packet__read_v4(key, at);
	else if (offset != 0xffff && key->ether_type == ETH_P_IPV6)
		packet__read_v6(key, at);
	return packet__read_place(key, skb, sk, route);
}

#endif
