/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Whether somebody listens at a socket's local end, from the kernel's own table of listeners: also one that is older than
 * the probe, or in a cgroup that is not counted.
 *
 *   hash(namespace, address, port) ─► bucket ─► listener ─► listener ─► end       as the kernel looks for a SYN's listener
 *
 * It only reads. Asked for few sockets: restored ones (TCP_REPAIR), and some that are adopted.
 */
#ifndef TCP_LISTENING_H
#define TCP_LISTENING_H

#include "common/edge_keys.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"

/* So many of a bucket are looked at; the kernel has up to 65,536 buckets, and hashes ports into them. */
#define LISTENERS_LOOKED_AT 64

/* Where a listener is looked for. */
struct listening_place {
	__u64 net;     /* the address of the net namespace */
	__u64 buckets; /* the address of the first struct inet_listen_hashbucket */
	__u32 mask;
	__u32 mix; /* what hashes of this net namespace begin with */
	__u32 address[4];
	__u16 port;
	bool is_v4;
};

static __always_inline __u32 rotate(__u32 word, int bits)
{
	return word << bits | word >> (32 - bits);
}

/* __jhash_final() of the kernel's <linux/jhash.h> */
static __always_inline __u32 jhash_final(__u32 a, __u32 b, __u32 c)
{
	c = (c ^ b) - rotate(b, 14);
	a = (a ^ c) - rotate(c, 11);
	b = (b ^ a) - rotate(a, 25);
	c = (c ^ b) - rotate(b, 16);
	a = (a ^ c) - rotate(c, 4);
	b = (b ^ a) - rotate(a, 14);
	return (c ^ b) - rotate(b, 24);
}

#define JHASH_INITVAL 0xdeadbeef

/* jhash_1word() */
static __always_inline __u32 jhash_word(__u32 word, __u32 mix)
{
	__u32 start = mix + JHASH_INITVAL + (1 << 2);

	return jhash_final(word + start, start, start);
}

/* jhash2() of four words */
static __always_inline __u32 jhash_words(const __u32 *words, __u32 mix)
{
	__u32 start = mix + JHASH_INITVAL + (4 << 2);
	__u32 a = start + words[0], b = start + words[1], c = start + words[2];

	a = (a - c) ^ rotate(c, 4);
	c += b;
	b = (b - a) ^ rotate(a, 6);
	a += c;
	c = (c - b) ^ rotate(b, 8);
	b += a;
	a = (a - c) ^ rotate(c, 16);
	c += b;
	b = (b - a) ^ rotate(a, 19);
	a += c;
	c = (c - b) ^ rotate(b, 4);
	b += a;
	return jhash_final(a + words[3], b, c);
}

static __always_inline bool is_any(const __u32 *address)
{
	return !(address[0] | address[1] | address[2] | address[3]);
}

/*
 * compute_score() of the kernel's inet_hashtables.c and inet6_hashtables.c, but for devices.
 *
 * @param any  the listener must take every address, else just the place's
 */
static __always_inline bool listener__is_at(const struct sock_common *listener, const struct listening_place *place,
					    bool any)
{
	const struct in6_addr *bound = &listener->skc_v6_rcv_saddr;
	__u32 address[4];

	if ((__u64)BPF_CORE_READ(listener, skc_net.net) != place->net ||
	    BPF_CORE_READ(listener, skc_num) != place->port)
		return false;
	if (place->is_v4)
		return BPF_CORE_READ(listener, skc_rcv_saddr) == (any ? 0 : place->address[3]) &&
		       !BPF_CORE_READ_BITFIELD_PROBED(listener, skc_ipv6only);
	if (BPF_CORE_READ(listener, skc_family) != AF_INET6 || bpf_core_read(address, sizeof(address), bound))
		return false;
	if (any)
		return is_any(address);
	return address[0] == place->address[0] && address[1] == place->address[1] && address[2] == place->address[2] &&
	       address[3] == place->address[3];
}

/* Not static: the verifier looks at it once, and not for each caller. */
__noinline int listeners__find(struct listening_place *place, bool any)
{
	struct inet_listen_hashbucket *bucket;
	struct hlist_nulls_node *node;
	__u32 hash;
	int i;

	if (!place)
		return 0;
	if (any)
		hash = jhash_word(0, place->mix);
	else if (place->is_v4)
		hash = jhash_word(place->address[3], place->mix);
	else
		hash = jhash_words(place->address, place->mix);
	bucket = (void *)place->buckets +
		 (__u64)((hash ^ place->port) & place->mask) * bpf_core_type_size(struct inet_listen_hashbucket);
	node = BPF_CORE_READ(bucket, nulls_head.first);
	for (i = 0; i < LISTENERS_LOOKED_AT && node && !((__u64)node & 1); i++) {
		struct sock_common *listener = (void *)node - bpf_core_field_offset(struct sock_common, skc_nulls_node);

		if (listener__is_at(listener, place, any))
			return 1;
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

static __always_inline bool is_listened(struct sock *sk)
{
	struct sock_common *sc = &sk->__sk_common;
	struct net *net = BPF_CORE_READ(sc, skc_net.net);
	struct inet_hashinfo *table = BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	struct listening_place place = {};

	place.net = (__u64)net;
	place.buckets = (__u64)BPF_CORE_READ(table, lhash2);
	place.mask = BPF_CORE_READ(table, lhash2_mask);
	place.mix = BPF_CORE_READ(net, hash_mix);
	place.port = sc->skc_num;
	if (sc->skc_family == AF_INET)
		address__from_v4((__u8 *)place.address, sc->skc_rcv_saddr);
	else
		address__from_v6((__u8 *)place.address, &sc->skc_v6_rcv_saddr);
	place.is_v4 = !place.address[0] && !place.address[1] && place.address[2] == 0xffff0000;
	return place.buckets && (listeners__find(&place, false) || listeners__find(&place, true));
}

#endif
