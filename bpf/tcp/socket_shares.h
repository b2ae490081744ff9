/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A tenant's share of the sockets that are known by address (common/socket_storage.h): it makes one only while it holds no
 * more than are free, as with edges (common/tenants.h).
 *
 *   a new socket ──► its tenant's place: sockets + 1 ──► more than its share? ──► sockets - 1, and LOSS_STORAGE_FAILED
 *   it is freed  ──► sockets - 1
 *
 * Both counts go with the element: whoever has put it in or taken it out of the hash counts, and that is one.
 */
#ifndef TCP_SOCKET_SHARES_H
#define TCP_SOCKET_SHARES_H

#include "common/socket_storage.h"
#include "common/tenants.h"
#include "tcp/connection.h"

/* Set before load: how many sockets there is room for. */
const volatile __u32 sockets_room = SOCKETS_ROOM;

struct {
	/* How many sockets each tenant has in connections_by_address, and all of them. Written by hooks, walk and adoption. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TENANTS_AND_ALL);
	__type(key, __u32);
	__type(value, struct tenant);
} socket_tenants SEC(".maps");

/* Counts one socket less. Not static: the verifier looks at it once, and not for each caller. */
__noinline int socket_share__leave(__u32 place)
{
	tenant__give_back_in(&socket_tenants, place);
	return 0;
}

/* Counts one socket more of a cgroup's tenant. @return its place; -1: the tenant holds its share */
__noinline int socket_share__enter(__u64 cgroup)
{
	return tenant__take_in(&socket_tenants, cgroup, sockets_room);
}

/* @return the socket's storage, found or made; NULL without memory or room, or beyond its tenant's share of that */
static __always_inline struct connection *connection__make(struct sock *sk, __u64 cgroup)
{
	struct socket_key key;
	struct connection *c;
	int place;

	if (!sockets_by_address)
		return bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	socket_key__of(&key, sk);
	c = bpf_map_lookup_elem(&connections_by_address, &key);
	if (c)
		return c;
	place = socket_share__enter(cgroup);
	if (place < 0)
		return NULL;
	if (bpf_map_update_elem(&connections_by_address, &key, nothing, BPF_NOEXIST)) {
		socket_share__leave(place);
		return bpf_map_lookup_elem(&connections_by_address, &key); /* another CPU was first, or there is none */
	}
	c = bpf_map_lookup_elem(&connections_by_address, &key);
	if (c)
		c->tenant = place + 1;
	return c;
}

/* Takes a socket's element out of the hash. */
static __always_inline void connection__remove(const struct socket_key *key)
{
	struct connection *c = bpf_map_lookup_elem(&connections_by_address, key);
	__u32 tenant = c ? c->tenant : 0;

	if (!bpf_map_delete_elem(&connections_by_address, key) && tenant)
		socket_share__leave(tenant - 1);
}

#endif
