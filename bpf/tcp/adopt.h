/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Adoption: sockets that are older than the probe, found through all tasks' open files.
 *
 *   file ─► TCP socket ─► its accept queue     file ─► MPTCP socket ─► its first subflow
 *
 * They count from now on, never in `opened`. A socket is adopted once, however many files lead to it and however
 * many probes have started.
 */
#ifndef TCP_ADOPT_H
#define TCP_ADOPT_H

#include "common/edge_keys.h"
#include "common/edges.h"
#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tasks.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/listen_owners.h"
#include "tcp/mptcp.h"
#include "tcp/open.h"
#include "tcp/roles.h"

struct {
	/*
	 * Sockets that are older than the probe and not found yet. Filled by the probe before adoption, taken out by it,
	 * counted and emptied by the probe. Full: the rest is not counted, which the probe says.
	 */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct socket_place);
	__type(value, __u8);
} unfound SEC(".maps");

/*
 * How many of an accept queue: a longer one's others are missed. The verifier looks at each by itself, and stops at a
 * million instructions: 64 are a third of that. Before 6.2 it may go through several times as many states
 * (7a830b53c17b, "bpf: aggressively forget precise markings during state checkpointing").
 */
#define QUEUED_MAX (verifier__is_frugal() ? 64 : 16)

/* Known by what came with the same release. */
static __always_inline bool verifier__is_frugal(void)
{
	return cast__exists();
}

/* @return the file's socket, NULL for what is neither TCP nor MPTCP */
static __always_inline struct sock *inet_of_file(struct file *file)
{
	struct socket *socket;
	struct sock *sk;

	if (!file)
		return NULL;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return NULL;
	sk = socket->sk;
	if (!sk || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP))
		return NULL;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return NULL;
	return sk;
}

static __always_inline bool state_is_open(__u8 state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
	       state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

/* Notes that a file leads to this socket, counted or not. */
static __always_inline void found(struct sock_common *sc)
{
	struct socket_place place = {};

	if (sc->skc_family == AF_INET) {
		address__from_v4(place.local, sc->skc_rcv_saddr);
		address__from_v4(place.remote, sc->skc_daddr);
	} else {
		address__from_v6(place.local, &sc->skc_v6_rcv_saddr);
		address__from_v6(place.remote, &sc->skc_v6_daddr);
	}
	place.netns = sc->skc_net.net->ns.inum;
	place.local_port = sc->skc_num;
	place.remote_port = bpf_ntohs(sc->skc_dport);
	bpf_map_delete_elem(&unfound, &place);
}

/*
 * Begins to count. Where the socket does not show who opened it, it is a server's without port: it takes part in one
 * edge for each pair of addresses, and its bytes are right either way.
 *
 * @param sk where its storage is
 */
static __always_inline void adopt_with_counters(struct sock *sk, struct tcp_sock *tp, struct settings *s)
{
	struct sock *tcp = &tp->inet_conn.icsk_inet.sk;
	__u8 role = role__of_older(tcp, tp);
	struct state *st = state__get();
	struct connection *c;

	c = st ? connection__start(sk, s, role ?: ROLE_SERVER, true) : NULL;
	if (!c)
		return;
	key__from_sock(&c->key, &tcp->__sk_common, IPPROTO_TCP);
	if (!role) {
		c->key.server_port = 0;
		loss__count(LOSS_ROLE_UNKNOWN_DETAIL);
	}
	c->established_ns = c->start_ns;
	connection__note_pair(c, tp);
	key__collapse(&c->key, s);
	connection__count_from_now(c, tp);
	__sync_fetch_and_or(&c->flags, ESTABLISHED | ADOPTED);
	edge__add(st->adopted, 1);
}

/* A listener's socket has storage before it stands for anything: see on_child(). */
static __always_inline bool connection__is_known(struct sock *sk)
{
	struct connection *c = connection__of(sk);

	return c && c->start_ns;
}

static __always_inline void adopt_connection(struct sock *sk, struct settings *s)
{
	struct tcp_sock *tp = tcp_sock__found(sk);

	found(&sk->__sk_common);
	if (tp && !connection__is_known(sk))
		adopt_with_counters(sk, tp, s);
}

/* Connections that wait to be accepted: no file leads to them but their listener's. */
static __always_inline void adopt_queued(struct sock *listener, struct settings *s)
{
	struct tcp_sock *tp = tcp_sock__found(listener);
	struct request_sock *request = tp ? tp->inet_conn.icsk_accept_queue.rskq_accept_head : NULL;
	int i;

	for (i = 0; i < QUEUED_MAX && request; i++) {
		struct sock *sk = request->sk;

		if (sk && state_is_open(sk->__sk_common.skc_state))
			adopt_connection(sk, s);
		request = request->dl_next;
	}
}

/*
 * Whether it is adopted already, or its subflow has a storage: that one is younger than the probe, or another program
 * keeps something there. The two cannot be told apart, so that it is missed rather than counted twice.
 */
static __always_inline bool mptcp__is_known(struct sock *sk, struct tcp_sock *first)
{
	struct sock *tcp = &first->inet_conn.icsk_inet.sk;

	if (connection__of(sk))
		return true;
	return sockets_by_address ? connection__of(tcp) != NULL : tcp->sk_bpf_storage != NULL;
}

static __always_inline void adopt_mptcp(struct sock *sk, struct settings *s)
{
	struct tcp_sock *tp = mptcp__first(sk);

	if (!tp || !state_is_open(tp->inet_conn.icsk_inet.sk.__sk_common.skc_state))
		return;
	if (mptcp__is_known(sk, tp))
		return;
	found(&tp->inet_conn.icsk_inet.sk.__sk_common);
	mptcp__note_first(tp);
	adopt_with_counters(sk, tp, s);
}

/* @param task one that holds it */
static __always_inline void adopt_listener(struct sock *sk, struct sock *tcp, struct task_struct *task,
					   struct settings *s)
{
	struct listen_owner owner = {};

	owner.pid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_INTO(&owner.comm, task, comm);
	on_listen(sk, tcp, &owner, s, true);
}

static __always_inline void adopt_if_listens(struct sock *sk, struct task_struct *task, struct settings *s)
{
	if (sk->__sk_common.skc_state != TCP_LISTEN)
		return;
	found(&sk->__sk_common);
	if (!connection__of(sk))
		adopt_listener(sk, sk, task, s);
}

static __always_inline void adopt_mptcp_if_listens(struct sock *sk, struct task_struct *task, struct settings *s)
{
	struct tcp_sock *tp = mptcp__first(sk);

	if (!tp || tp->inet_conn.icsk_inet.sk.__sk_common.skc_state != TCP_LISTEN)
		return;
	if (mptcp__is_known(sk, tp))
		return;
	found(&tp->inet_conn.icsk_inet.sk.__sk_common);
	adopt_listener(sk, &tp->inet_conn.icsk_inet.sk, task, s);
}

#endif
