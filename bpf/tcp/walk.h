/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The walk: what is done to every socket at once, from an iterator over all storages or, where those lie by address, over
 * the hash's elements.
 *
 * It writes maps, never bpf_seq_write(): with output the iterator restarts for every buffer and
 * skips from its bucket's start, which grows with the square of the sockets.
 */
#ifndef TCP_WALK_H
#define TCP_WALK_H

#include "common/edges.h"
#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/bypass.h"
#include "tcp/close.h"
#include "tcp/connection.h"
#include "tcp/counters.h"
#include "tcp/handshakes.h"
#include "tcp/interim.h"
#include "tcp/listen_owners.h"
#include "tcp/mptcp.h"
#include "tcp/open.h"
#include "tcp/round_trips.h"
#include "tcp/troubles.h"
#include "tcp/undecided.h"

/* @param sk the listener itself, also where its storage is another socket's */
static __always_inline void walk_listener(struct sock *sk, struct connection *c, struct state *st)
{
	struct edge_value *edge;
	struct edge_key key;

	listener__found(sk, st);
	if (!c->key.server_port)
		c->key.server_port = sk->__sk_common.skc_num; /* listen() without bind() gets its port after LISTEN */
	key = c->key; /* a copy: before 6.2 an iterator's buffer is no map key for the verifier */
	edge = edge__enter(&key, EDGE_MISS_DEFERS);
	if (!edge)
		return;
	edge__begin_gauges(edge, st->walk);
	edge->open += sk->sk_ack_backlog;
	edge->limit += sk->sk_max_ack_backlog;
	if (edge->open || edge->limit)
		edge->reported = 1;
	if (count_drops(c, edge, sk))
		edge__touch(edge, st->exchange_ns + 1);
	edge__leave(edge);
}

/*
 * @param tenant out: edge_value.tenant of its edge
 * @return whether it was counted; else it keeps its growth until the next walk
 */
static __always_inline bool walk_counters(struct tcp_sock *tp, struct connection *c, struct settings *s,
					  struct state *st, __u32 *tenant)
{
	bool opened, grown, measured;
	struct edge_value *edge;
	struct edge_key key;
	struct tcp_counters b;

	tcp_counters__read(&b, tp, false, c);
	if (sockets_by_address && *(volatile __u32 *)&c->flags & CLOSED)
		return false; /* what was read may be another socket's by now */
	key = c->key;         /* a copy: before 6.2 an iterator's buffer is no map key for the verifier */
	edge = edge__enter(&key, EDGE_MISS_DEFERS);
	if (!edge)
		return false;
	edge__begin_gauges(edge, st->walk);
	*tenant = edge->tenant;
	edge->open++;
	edge->reported = 1;
	opened = !handshake__is_under_way(c, tp) && connection__count_opened(c, edge);
	grown = connection__count(c, edge, &b, s, &measured);
	if (measured && newest_rtt_us(tp))
		edge__observe(edge, rtt, RTT, newest_rtt_us(tp));
	/* All that the walk finds happened after the last exchange; reading the clock for each socket would double its cost. */
	if (opened || grown)
		edge__touch(edge, st->exchange_ns + 1);
	edge__leave(edge);
	return true;
}

static __always_inline void walk_connection(struct sock *sk, struct connection *c, struct settings *s, struct state *st)
{
	struct tcp_sock *tp = tcp_sock__found(sk);
	__u32 tenant;

	if (!tp || !walk_counters(tp, c, s, st, &tenant))
		return;
	if (is_in_sockmap(sk))
		connection__note_sockmap(c);
	if (s->asked.records && !tp->snd_wnd)
		trouble__note_zero_window(sk, tp, st);
	if (s->asked.records && s->asked.active_timeout_ns)
		record__send_interim(c, sk, tp, st, s, tenant);
}

/* The socket's state changes after its hook ran: established without our flag means that no program ran. */
static __always_inline void walk_connecting(struct sock *sk, struct connection *c, struct state *st)
{
	struct tcp_sock *tp = tcp_sock__found(sk);
	__u8 state = sk->__sk_common.skc_state;

	if (tp && state != TCP_SYN_SENT && state != TCP_SYN_RECV && state != TCP_CLOSE)
		connection__open_late(c, tp, st->exchange_ns + 1); /* the next walk or the close counts it */
}

/* An older MPTCP socket: it stands for its first subflow (mptcp.h), and makes no interim records. */
static __always_inline void walk_mptcp(struct sock *sk, struct connection *c, struct settings *s, struct state *st)
{
	struct tcp_sock *tp = mptcp__first(sk);
	__u32 unused;

	if (!tp)
		return;
	if (c->flags & LISTENS)
		walk_listener(&tp->inet_conn.icsk_inet.sk, c, st);
	else
		walk_counters(tp, c, s, st, &unused);
}

static __always_inline void walk_socket(struct sock *sk, struct connection *c, struct settings *s)
{
	struct state *st = state__get();
	__u32 flags = c->flags;

	if (!st)
		return;
	st->sockets++;
	if (flags & CLOSED || !c->start_ns)
		return; /* or not born yet: on_child() */
	st->live++;
	if (sk->sk_protocol == IPPROTO_MPTCP)
		walk_mptcp(sk, c, s, st);
	else if (flags & LISTENS)
		walk_listener(sk, c, st);
	else if (flags & ESTABLISHED)
		walk_connection(sk, c, s, st);
	else
		walk_connecting(sk, c, st);
}

/* After the last socket, also where there was none. */
static __always_inline void walk_end(void)
{
	undecided__pass_all();
	bpf_for_each_map_elem(&listeners, listener__forget_lost, NULL, 0);
}

#endif
