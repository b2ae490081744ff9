/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* From a socket's addresses to the key of its edge. */
#ifndef COMMON_EDGE_KEYS_H
#define COMMON_EDGE_KEYS_H

#include "common/maps.h"
#include "contract/edge.h"
#include "kernel/helpers.h"
#include "kernel/sockets.h"

static __always_inline void address__from_v4(__u8 *to, __be32 address)
{
	*(__u64 *)to = 0;
	*(__u32 *)(to + 8) = 0xffff0000; /* bytes 00 00 ff ff, little-endian */
	*(__be32 *)(to + 12) = address;
}

static __always_inline void address__from_v6(__u8 *to, const struct in6_addr *address)
{
	int i;

	for (i = 0; i < 4; i++)
		((__u32 *)to)[i] = address->in6_u.u6_addr32[i];
}

#define LOOPBACK 0x7f000001
#define LOOPBACK_OTHERS 0x7f000000

static __always_inline bool address__is_v4(const __u8 *address)
{
	return !*(const __u64 *)address && *(const __u32 *)(address + 8) == 0xffff0000;
}

static __always_inline bool address__is(const __u8 *address, __u32 v4)
{
	return address__is_v4(address) && *(const __be32 *)(address + 12) == bpf_htonl(v4);
}

/*
 * Lets all addresses of 127.0.0.0/8 but 127.0.0.1 be one, 127.0.0.0. Any user may bind and connect to each of them, and who reads
 * an edge is told no more than that it is loopback.
 */
static __always_inline void address__collapse_loopback(__u8 *address)
{
	if (address__is_v4(address) && address[12] == 127 && !address__is(address, LOOPBACK))
		address__from_v4(address, bpf_htonl(LOOPBACK_OTHERS));
}

/* Both ends of a key. Not static: the verifier looks at it once, and not for each caller. */
__noinline int key__collapse_loopback(struct edge_key *key)
{
	if (!key)
		return -1;
	address__collapse_loopback(key->local_addr);
	address__collapse_loopback(key->remote_addr);
	return 0;
}

/* Fills all of a key but cgroup and role from a socket or request socket that is reached through `sc`. */
static __always_inline void key__from_sock(struct edge_key *key, struct sock_common *sc, __u8 protocol)
{
	key->protocol = protocol;
	key->netns = sc->skc_net.net->ns.inum;
	if (sc->skc_family == AF_INET) {
		address__from_v4(key->local_addr, sc->skc_rcv_saddr);
		address__from_v4(key->remote_addr, sc->skc_daddr);
	} else {
		address__from_v6(key->local_addr, &sc->skc_v6_rcv_saddr);
		address__from_v6(key->remote_addr, &sc->skc_v6_daddr);
	}
	key__collapse_loopback(key);
	if (key->role == ROLE_LISTENER)
		__builtin_memset(key->remote_addr, 0, sizeof(key->remote_addr));
	key->server_port = key->role == ROLE_CLIENT ? bpf_ntohs(sc->skc_dport) : sc->skc_num;
}

/* Keeps the first bits of the remote address. Not static: the verifier looks at it once, and not for each caller. */
__noinline int key__mask(struct edge_key *key, __u32 prefix_length)
{
	__u32 i;

	if (!key)
		return -1;
	for (i = 0; i < 16; i++) {
		__u32 bits = prefix_length > i * 8 ? prefix_length - i * 8 : 0;

		if (bits < 8)
			key->remote_addr[i] &= (__u8)(0xff00 >> bits);
	}
	return 0;
}

/* Lets the addresses of a prefix rule share one edge: clients on the internet are unbounded. */
static __always_inline void key__collapse(struct edge_key *key, struct settings *s)
{
	struct prefix_rule_key lookup = { .prefix_length = 128 };
	struct prefix_rule_value *rule;

	if (!s->prefix_rules || key->role != ROLE_SERVER)
		return;
	__builtin_memcpy(lookup.addr, key->remote_addr, 16);
	rule = bpf_map_lookup_elem(&prefix_rules, &lookup);
	if (!rule || !(rule->flags & PREFIX_RULE_COLLAPSE))
		return;
	key__mask(key, rule->prefix_length);
}

#endif
