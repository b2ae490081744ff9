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
#include "tcp/socket_shares.h"
#include "tcp/troubles.h"

/* As many as close between two walks, at 6,000 a second: --sockets divided by 4. */
#define CLOSED_SOCKETS (SOCKETS_ROOM / 4)

struct closed_socket {
	struct socket_key key;
	__u64 walk; /* the one that had begun last */
};

struct {
	/* Closed sockets whose storage is to be freed. Written by the hooks, emptied by the walk. Full: the oldest is freed at once. */
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, CLOSED_SOCKETS);
	__type(value, struct closed_socket);
} closed_sockets SEC(".maps");

static __always_inline void storage__free(const struct socket_key *key)
{
	bpf_map_delete_elem(&troubles_by_address, key);
	bpf_map_delete_elem(&interims_by_address, key);
	connection__remove(key); /* last: the others have no more room than this one */
}

/* A socket that was used again is left to its next close. */
static __always_inline void closed__free_if_closed(const struct socket_key *key)
{
	struct connection *c = bpf_map_lookup_elem(&connections_by_address, key);

	if (c && (!c->start_ns || c->flags & CLOSED))
		storage__free(key);
}

/* Not inlined: only who closes 65,536 sockets between two walks comes to it. */
static __noinline void closed__make_room(void)
{
	struct closed_socket oldest;

	if (!bpf_map_pop_elem(&closed_sockets, &oldest))
		closed__free_if_closed(&oldest.key);
}

/* Which element the socket has: one that it got before its cookie is found without. */
static __always_inline bool closed__find(struct socket_key *key, struct sock *sk)
{
	socket_key__of(key, sk);
	if (bpf_map_lookup_elem(&connections_by_address, key))
		return true;
	key->cookie = 0;
	return bpf_map_lookup_elem(&connections_by_address, key);
}

static __always_inline void closed__note(struct sock *sk)
{
	struct closed_socket closed = {};
	struct state *st = state__get();

	if (!sockets_by_address || !st || !closed__find(&closed.key, sk))
		return;
	closed.walk = st->walk;
	if (!bpf_map_push_elem(&closed_sockets, &closed, BPF_ANY))
		return;
	closed__make_room();
	if (bpf_map_push_elem(&closed_sockets, &closed, BPF_ANY))
		storage__free(&closed.key);
}

/* The first of the queue, unless it closed in this walk. */
static long closed__free_one(__u32 unused, void *unused_too)
{
	struct state *st = state__get();
	struct closed_socket closed;

	(void)unused;
	(void)unused_too;
	if (!st || bpf_map_peek_elem(&closed_sockets, &closed) || closed.walk >= st->walk)
		return 1;
	if (bpf_map_pop_elem(&closed_sockets, &closed)) /* another one by now, where a hook has made room */
		return 1;
	closed__free_if_closed(&closed.key);
	return 0;
}

static __always_inline void closed__free(void)
{
	bpf_loop(CLOSED_SOCKETS, closed__free_one, NULL, 0);
}

#endif
