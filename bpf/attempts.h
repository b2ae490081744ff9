/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Attempts that end inside connect(): SYN_SENT and back to CLOSE, with no error in the socket and no SYN sent.
 *
 * The kernel sets SYN_SENT before it looks for a local port (tcp_v4_connect(), tcp_v6_connect()) and tells errors
 * of all that follows to the caller alone. So what was done so far tells how it ended: a found port is followed
 * by a new flow hash, a SYN that was handed down by TcpActiveOpens and snd_nxt.
 */
#ifndef FLOWSPAN_ATTEMPTS_H
#define FLOWSPAN_ATTEMPTS_H

enum attempt {
	ATTEMPT_MADE,          /* the kernel counts it in TcpActiveOpens */
	ATTEMPT_NO_LOCAL_PORT, /* EADDRNOTAVAIL: all are taken, or the bound one is, towards this peer */
	ATTEMPT_NOT_SENT,      /* no memory, no route from that port, a missing key, a rule that refuses */
	ATTEMPT_NONE,          /* nothing failed: Fast Open waits with the SYN for data, and there was none */
};

/* @param c as on_connect() left it: nothing of it was counted yet */
static __always_inline enum attempt attempt__of(struct connection *c, struct sock *sk, struct tcp_sock *tp)
{
	if (tp->segs_out != c->segs_out && tp->snd_nxt != tp->snd_una)
		return ATTEMPT_MADE;
	if (c->flags & RESTORED || sk->sk_shutdown == SHUTDOWN_MASK)
		return ATTEMPT_NONE;
	return sk->sk_txhash == c->client_isn ? ATTEMPT_NO_LOCAL_PORT : ATTEMPT_NOT_SENT;
}

#endif
