/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Attempts that end inside connect(): SYN_SENT and back to CLOSE, with no error in the socket and no SYN sent.
 *
 * The kernel sets SYN_SENT before it looks for a local port (tcp_v4_connect(), tcp_v6_connect()) and tells errors
 * of all that follows to the caller alone. So what was done so far tells how it ended: a found port is followed
 * by a new flow hash, a SYN that was handed down by TcpActiveOpens and snd_nxt. A hardened kernel refuses a socket that
 * has listened (seen on 6.18.44: EINVAL) before it looks for one: of such a socket nobody can tell which it was.
 */
#ifndef TCP_ATTEMPTS_H
#define TCP_ATTEMPTS_H

#include "common/edges.h"
#include "contract/edge.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/counters.h"

enum attempt {
	ATTEMPT_MADE,          /* the kernel counts it in TcpActiveOpens */
	ATTEMPT_NO_LOCAL_PORT, /* EADDRNOTAVAIL: all are taken, or the bound one is, towards this peer */
	ATTEMPT_NOT_SENT, /* no memory, no route from that port, a missing key, a rule that refuses, has listened */
	ATTEMPT_NONE,     /* nothing failed: Fast Open waits with the SYN for data, and there was none */
};

/* @param c as on_connect() left it: nothing of it was counted yet */
static __always_inline enum attempt attempt__of(struct connection *c, struct sock *sk, struct tcp_sock *tp)
{
	if (tp->segs_out != c->segs_out && tp->snd_nxt != tp->snd_una)
		return ATTEMPT_MADE;
	if (c->flags & RESTORED || sk->sk_shutdown == SHUTDOWN_MASK)
		return ATTEMPT_NONE;
	if (sk->sk_txhash != c->client_isn || c->flags & LISTENED)
		return ATTEMPT_NOT_SENT;
	return ATTEMPT_NO_LOCAL_PORT;
}

static __always_inline void count_failure(struct edge_value *edge, enum attempt attempt, int error)
{
	struct edge_counters *growth = &edge->growth;

	if (attempt != ATTEMPT_MADE) {
		if (attempt == ATTEMPT_NO_LOCAL_PORT)
			edge__add(growth->failed_no_local_port, 1);
		else if (attempt == ATTEMPT_NOT_SENT)
			edge__add(growth->failed_not_sent, 1);
		return;
	}
	switch (error) {
	case 0:
		edge__add(growth->failed_cancelled, 1);
		break;
	case ECONNREFUSED:
		edge__add(growth->failed_refused, 1);
		break;
	case ETIMEDOUT:
		edge__add(growth->failed_timed_out, 1);
		break;
	case ECONNRESET:
		edge__add(growth->failed_reset, 1);
		break;
	case EHOSTUNREACH:
		edge__add(growth->failed_host_unreachable, 1);
		break;
	case ENETUNREACH:
		edge__add(growth->failed_net_unreachable, 1);
		break;
	default:
		edge__add(growth->failed_other, 1);
	}
}

static __always_inline void count_attempt(struct connection *c, struct edge_value *edge, struct tcp_sock *tp,
					  struct settings *s)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	enum attempt attempt = attempt__of(c, sk, tp);
	struct tcp_counters b;
	bool measured;

	tcp_counters__read(&b, tp, true, c);
	b.busy = 0; /* a SYN is no data */
	connection__count_unreported_syns(c, edge, tp->total_retrans);
	connection__count(c, edge, &b, s, &measured);
	count_failure(edge, attempt, sk->sk_err ?: c->error);
	if (attempt == ATTEMPT_NO_LOCAL_PORT)
		c->error = EADDRNOTAVAIL;
	if (attempt != ATTEMPT_MADE)
		__sync_fetch_and_or(&c->flags, attempt == ATTEMPT_NONE ? NO_ATTEMPT : UNSENT);
}

#endif
