/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Storage by address has no socket that frees it (common/socket_storage.h): a close is noted, and the end of a walk that
 * began after it frees. In between, what still comes for the socket finds that it has closed.
 */
#ifndef TCP_CLOSED_H
#define TCP_CLOSED_H

#include "common/maps.h"
#include "common/socket_storage.h"
#include "kernel/helpers.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/troubles.h"

/* As many as close between two walks, at 6,000 a second. */
#define CLOSED_SOCKETS 65536

struct closed_socket {
	struct socket_key key;
	__u64 walk; /* the one that had begun last */
};

struct {
	/* Closed sockets whose storage is to be freed. Written by the hooks, emptied by the walk. Full: freed at once. */
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, CLOSED_SOCKETS);
	__type(value, struct closed_socket);
} closed_sockets SEC(".maps");

static __always_inline void storage__free(const struct socket_key *key)
{
	bpf_map_delete_elem(&connections_by_address, key);
	bpf_map_delete_elem(&troubles_by_address, key);
	bpf_map_delete_elem(&interims_by_address, key);
}

static __always_inline void closed__note(struct sock *sk)
{
	struct closed_socket closed = { .key.address = (__u64)sk };
	struct state *st = state__get();
	struct connection *c;

	if (!sockets_by_address || !st)
		return;
	c = storage__of(connections, sk);
	if (!c)
		return;
	closed.walk = st->walk;
	closed.key.cookie = c->cookie;
	if (bpf_map_push_elem(&closed_sockets, &closed, BPF_ANY))
		storage__free(&closed.key);
}

/* The first of the queue, unless it closed in this walk. A socket that was used again is left to its next close. */
static long closed__free_one(__u32 unused, void *unused_too)
{
	struct state *st = state__get();
	struct closed_socket closed;
	struct connection *c;

	(void)unused;
	(void)unused_too;
	if (!st || bpf_map_peek_elem(&closed_sockets, &closed) || closed.walk >= st->walk)
		return 1;
	bpf_map_pop_elem(&closed_sockets, &closed);
	c = bpf_map_lookup_elem(&connections_by_address, &closed.key);
	if (c && (!c->start_ns || c->flags & CLOSED))
		storage__free(&closed.key);
	return 0;
}

static __always_inline void closed__free(void)
{
	bpf_loop(CLOSED_SOCKETS, closed__free_one, NULL, 0);
}

#endif
