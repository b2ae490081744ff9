/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Handshakes that a FIN ends: the bare answer was lost, held back by TCP_DEFER_ACCEPT or dropped at a full accept queue,
 * and the client closes without a word. The socket's first sample then spans all of the wait, as in round_trips.h.
 *
 *   SYN_RECV ──► ESTABLISHED: the time is noted ──► CLOSE_WAIT, still the first segment: the time goes
 *
 * One segment does both under the socket's lock (tcp_child_process()), so a walk that finds the lock free finds the
 * time, too, as it will stay.
 */
#ifndef TCP_HANDSHAKES_H
#define TCP_HANDSHAKES_H

#include "common/socket_lock.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"

/* The segments that have come when a handshake ends; an accepted socket counts its SYN, too. */
#define HANDSHAKE_SEGMENTS 2

/* The peer has closed, as nearly every connection's does once: asked before anything else is looked at. */
static __always_inline bool state_is_peer_closed(int from, int to)
{
	return from == TCP_ESTABLISHED && to == TCP_CLOSE_WAIT;
}

/* The peer's FIN came, in order. */
static __always_inline void on_fin(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct connection *c;

	if (!tp || tp->segs_in != HANDSHAKE_SEGMENTS)
		return;
	c = connection__of(sk);
	if (c && c->key.role == ROLE_SERVER)
		c->handshake_us = 0;
}

/* Whether the segment that ended the handshake is still worked on: for the walk, which would count its time. */
static __always_inline bool handshake__is_under_way(struct connection *c, struct tcp_sock *tp)
{
	return tp->segs_in <= HANDSHAKE_SEGMENTS && c->handshake_us && sock__is_locked(&tp->inet_conn.icsk_inet.sk);
}

#endif
