/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which end opened a connection that is older than the probe, from what its own socket still shows.
 *
 * A listener at the same address and port is the last evidence: it may be closed by now. A wrong answer would make a
 * series for each ephemeral port, so there is a third one: unknown.
 */
#ifndef TCP_ROLES_H
#define TCP_ROLES_H

#include "common/socket_lock.h"
#include "contract/edge.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/counters.h"
#include "tcp/listening.h"

/*
 * Whether an acknowledged byte is no payload: an opener's SYN is in bytes_acked, an accepted socket begins after its
 * own. Not in a socket that somebody works on, or that was restored (TCP_REPAIR); refused segments hide it (see
 * tcp_counters__bytes_sent()).
 */
static __always_inline bool syn_was_acknowledged(struct sock *sk, struct tcp_sock *tp)
{
	bool locked = sock__is_locked(sk);
	__u64 sequence = tp->bytes_acked + (__u32)(tp->snd_nxt - tp->snd_una);
	__u64 payload = tp->bytes_sent - tp->bytes_retrans + (fin_was_sent(tp) ? 1 : 0);

	return !locked && !sock__is_locked(sk) && sequence == payload + 1;
}

/* Whether connect() chose the local port: then its bucket is marked as no bind()'s (inet_hash_connect()). */
static __always_inline bool port_was_chosen(struct tcp_sock *tp)
{
	struct inet_bind_bucket *bucket = tp->inet_conn.icsk_bind_hash;

	return bucket && bucket->fastreuse == -1 && bucket->fastreuseport == -1;
}

/*
 * An accepted socket is a copy of its listener and keeps its backlog's limit; one that connected has none, unless it
 * listened before.
 *
 * @return enum edge_role, or 0: accepted from listen(fd, 0) of a listener that is gone, or bound and restored, or bound and
 * some of its segments were refused
 */
static __always_inline __u8 role__of_older(struct sock *sk, struct tcp_sock *tp)
{
	if (syn_was_acknowledged(sk, tp))
		return ROLE_CLIENT;
	if (sk->sk_max_ack_backlog)
		return ROLE_SERVER;
	if (port_was_chosen(tp))
		return ROLE_CLIENT;
	return is_listened(sk) ? ROLE_SERVER : 0;
}

#endif
