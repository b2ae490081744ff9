/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The programs that go over all sockets: the walk once an exchange, adoption once at a probe's start. */
#ifndef TCP_ITERATORS_H
#define TCP_ITERATORS_H

#include "common/maps.h"
#include "kernel/bpf_iter.h"
#include "kernel/cast.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/adopt.h"
#include "tcp/closed.h"
#include "tcp/connection.h"
#include "tcp/walk.h"

/*
 * The walk: adds every marked socket's growth to its edge.
 *
 * Hook:   iterator over socket storage, all net namespaces, once an exchange.
 * Cost:   about 0.5 us a socket.
 * Misses: sockets without storage.
 */
SEC("iter/bpf_sk_storage_map")
int walk(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct settings *s = settings__if_active();
	struct connection *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (s && c && sk)
		walk_socket(sk, c, s);
	else if (s && !sk)
		walk_end();
	return 0;
}

/* What is gone and not in the queue: nobody saw its close, or the queue had no place for it. */
static long walk_key(struct bpf_map *map, const struct socket_key *key, struct connection *c, void *unused)
{
	struct settings *s = settings__if_active();
	struct socket_key of = *key;

	(void)map;
	(void)unused;
	if (!s)
		return 1;
	if (of.cookie ? !socket__is_gone(of.address, of.cookie) : !socket__has_nobody(of.address))
		walk_socket(bpf_rdonly_cast((const void *)of.address, bpf_core_type_id_kernel(struct sock)), c, s);
	else if (!(*(volatile __u32 *)&c->flags & QUEUED))
		storage__free(&of);
	return 0;
}

/*
 * The walk where storage lies by address, as on a hardened kernel. A socket that is freed meanwhile can still be read: the
 * kernel gives its memory to nothing but sockets until this program ends (SLAB_TYPESAFE_BY_RCU).
 *
 * Hook:   none: run by the probe, BPF_PROG_RUN, once an exchange.
 * Cost:   about 0.5 us a socket.
 * Misses: sockets without storage.
 */
SEC("raw_tp")
int walk_by_address(void *ctx)
{
	(void)ctx;
	if (!sockets_by_address || !settings__if_active())
		return 0;
	bpf_for_each_map_elem(&connections_by_address, walk_key, NULL, 0);
	walk_end();
	closed__free();
	return 0;
}

/*
 * Adoption, first pass: listeners.
 *
 * Hook:   iterator over all tasks' files, once at start, after the hooks are attached.
 * Cost:   once a file; returns at once for what is no listening TCP or MPTCP socket that is counted.
 * Misses: listeners that no task holds a file of; MPTCP's before 6.2.
 */
SEC("iter/task_file")
int adopt_listeners(struct bpf_iter__task_file *ctx)
{
	struct settings *s = settings__if_active();
	struct sock *sk = inet_of_file(ctx->file);
	struct task_struct *task = ctx->task;

	if (!s || !sk || !task)
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP)
		adopt_mptcp_if_listens(sk, task, s);
	else
		adopt_if_listens(sk, task, s);
	return 0;
}

/*
 * Adoption, second pass: connections that are open already, and those that wait to be accepted.
 *
 * Hook, cost: as above.
 * Misses: connections that no task holds a file of: the kernel's own, files on their way (SCM_RIGHTS), in io_uring.
 *         Of MPTCP all but the first subflow, all before 6.2, and those that wait to be accepted. LOSS_NOT_ADOPTED
 *         counts them at once, LOSS_CLOSED_UNTRACKED when they close.
 */
SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	struct settings *s = settings__if_active();
	struct sock *sk = inet_of_file(ctx->file);

	if (!s || !sk)
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP)
		adopt_mptcp(sk, s);
	else if (sk->__sk_common.skc_state == TCP_LISTEN)
		adopt_queued(sk, s);
	else if (state_is_open(sk->__sk_common.skc_state))
		adopt_connection(sk, s);
	return 0;
}

#endif
