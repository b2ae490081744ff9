/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Storage by address has no socket that frees it (common/socket_storage.h). So a socket that closes is queued, and the end
 * of a walk that began after it frees it when it is gone. One that its application still holds stays: it may be used again.
 *
 *   close ──► queue, once a socket ──► gone: freed
 *                 ▲                └─► still held ─┐
 *                 └────────────────────────────────┘
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
	__u64 walk;   /* the one that had begun last when it was queued */
	__u32 cookie; /* the socket's, also where the key has none */
	__u32 unused;
};

struct {
	/* Closed sockets whose storage is to be freed. Written by the hooks, emptied by the walk. Full: the oldest makes room. */
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

/*
 * Frees what was taken off the queue if its socket is gone, else queues it again. Where there is no place, a walk finds it
 * once it is gone. What lies there without a cookie may be another's by now: a child that is not born yet.
 *
 * @param is_full whether it was taken off to make room: who holds closed sockets leaves the queue to those who do not
 */
static __always_inline void closed__free_if_gone(struct closed_socket *closed, __u64 walk, bool is_full)
{
	struct connection *c = bpf_map_lookup_elem(&connections_by_address, &closed->key);
	bool is_unborn;

	if (!c)
		return;
	is_unborn = !closed->key.cookie && !c->start_ns && !socket__has_nobody(closed->key.address);
	if (!is_unborn && socket__is_gone(closed->key.address, closed->cookie)) {
		storage__free(&closed->key);
		return;
	}
	closed->walk = walk;
	if (is_unborn || is_full || bpf_map_push_elem(&closed_sockets, closed, BPF_ANY))
		__sync_fetch_and_and(&c->flags, ~QUEUED);
}

/* Not inlined: only who closes 65,536 sockets between two walks comes to it. */
static __noinline void closed__make_room(__u64 walk)
{
	struct closed_socket oldest;

	if (!bpf_map_pop_elem(&closed_sockets, &oldest))
		closed__free_if_gone(&oldest, walk, true);
}

static __always_inline void closed__note(struct sock *sk)
{
	struct closed_socket closed = {};
	struct state *st = state__get();
	struct connection *c;

	if (!sockets_by_address || !st)
		return;
	c = connection__find(&closed.key, sk);
	if (!c || !connection__claim(c, QUEUED))
		return;
	socket__identify(sk);
	closed.walk = st->walk;
	closed.cookie = (__u32)sk->__sk_common.skc_cookie.counter;
	if (!bpf_map_push_elem(&closed_sockets, &closed, BPF_ANY))
		return;
	closed__make_room(st->walk);
	if (bpf_map_push_elem(&closed_sockets, &closed, BPF_ANY)) /* another CPU took that place */
		__sync_fetch_and_and(&c->flags, ~QUEUED);
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
	closed__free_if_gone(&closed, st->walk, false);
	return 0;
}

static __always_inline void closed__free(void)
{
	bpf_loop(CLOSED_SOCKETS, closed__free_one, NULL, 0);
}

#endif
