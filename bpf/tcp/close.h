/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the hooks do when a socket closes: its last count, and its record. */
#ifndef TCP_CLOSE_H
#define TCP_CLOSE_H

#include "common/advance.h"
#include "common/cgroups.h"
#include "common/edges.h"
#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/attempts.h"
#include "tcp/connection.h"
#include "tcp/counters.h"
#include "tcp/listen_owners.h"
#include "tcp/mptcp.h"
#include "tcp/open.h"
#include "tcp/record_send.h"
#include "tcp/round_trips.h"

/* Adds what a listener has dropped since it was last counted. @return how much */
static __always_inline __u32 count_drops(struct connection *c, struct edge_value *edge, struct sock *sk)
{
	__u32 grown = advance32(&c->drops, sk->sk_drops.counter);

	if (grown)
		edge__add(edge->growth.listener_drops, grown);
	return grown;
}

static __always_inline void count_last(struct connection *c, struct edge_value *edge, struct tcp_sock *tp, __u64 now,
				       struct settings *s)
{
	struct tcp_counters b;
	bool measured;

	tcp_counters__read(&b, tp, true, c);
	connection__count_opened(c, edge);
	connection__count(c, edge, &b, s, &measured);
	if (measured && newest_rtt_us(tp))
		edge__observe(edge, rtt, RTT, newest_rtt_us(tp));
	if (BPF_CORE_READ_BITFIELD(tp, repair)) {
		__sync_fetch_and_or(&c->flags, CHECKPOINTED); /* it goes on, on another socket */
		return;
	}
	edge__add(edge->growth.closed, 1);
	if (!(c->flags & ADOPTED))
		edge__observe(edge, duration, DURATION, (now - c->established_ns) / 1000);
}

static __always_inline void on_close(struct sock *sk, int from, struct settings *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct edge_value *edge;
	struct connection *c;
	__u64 now;

	if (!tp)
		return;
	c = connection__of(sk);
	if (!c || !c->start_ns) {
		if (from == TCP_LISTEN)
			listener__forget(sk); /* an older MPTCP socket's, which has the storage */
		else if (from != TCP_SYN_RECV && cgroup__of_socket(sk) && !mptcp__forget_first(sk))
			loss__count(LOSS_CLOSED_UNTRACKED);
		return;
	}
	now = bpf_ktime_get_boot_ns();
	if (from != TCP_SYN_SENT && from != TCP_SYN_RECV)
		connection__open_late(c, tp, now);
	if (!connection__claim(c, CLOSED))
		return;
	socket_total__add(SOCKETS_CLOSED);
	edge = edge__enter(&c->key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return; /* cannot be: an array always has its entry */
	if (c->flags & LISTENS) {
		count_drops(c, edge, sk);
		listener__forget(sk);
	} else {
		if (c->flags & ESTABLISHED)
			count_last(c, edge, tp, now, s);
		else
			count_attempt(c, edge, tp, s);
		if (s->asked.records && !(c->flags & NO_ATTEMPT))
			record__send(c, sk, tp, from, now, s, edge->tenant);
	}
	edge__touch(edge, now);
	edge__leave(edge);
}

/*
 * A subflow that ended before its MPTCP socket may have been disconnected: tcp_disconnect() has set its counters to 0.
 * An open connection has segments.
 */
static __always_inline bool subflow_was_cleared(struct connection *c, struct tcp_sock *tp)
{
	return (__s32)(tp->segs_in - c->segs_in) < 0;
}

/* An older MPTCP socket closes, and its first subflow with it. That one is read while others may work on it. */
static __always_inline void on_close_mptcp(struct sock *sk, int from, struct settings *s)
{
	struct connection *c = connection__of(sk);
	struct tcp_sock *tp = mptcp__first(sk);
	struct edge_value *edge;
	struct tcp_counters b;
	bool measured;
	__u64 now;

	if (!c || !connection__claim(c, CLOSED))
		return;
	socket_total__add(SOCKETS_CLOSED);
	now = bpf_ktime_get_boot_ns();
	edge = edge__enter(&c->key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return; /* cannot be: an array always has its entry */
	if (c->flags & LISTENS) {
		if (tp)
			count_drops(c, edge, &tp->inet_conn.icsk_inet.sk);
	} else {
		edge__add(edge->growth.closed, 1);
		if (!tp || subflow_was_cleared(c, tp)) {
			loss__count(LOSS_CLOSE_MISSED); /* what it counted since the last walk */
		} else {
			tcp_counters__read(&b, tp, false, c);
			connection__count(c, edge, &b, s, &measured);
		}
		if (tp && s->asked.records)
			record__send(c, sk, tp, from, now, s, edge->tenant);
	}
	edge__touch(edge, now);
	edge__leave(edge);
}

#endif
