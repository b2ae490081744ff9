/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The programs on TCP's tracepoints: in a connection's life once each, or once per trouble. No program here runs for a packet,
 * an ACK or a read or write call.
 */
#ifndef TCP_HOOKS_H
#define TCP_HOOKS_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/aborts.h"
#include "tcp/bypass.h"
#include "tcp/connection.h"
#include "tcp/handshakes.h"
#include "tcp/retransmit_reset.h"
#include "tcp/state_change.h"

/*
 * A TCP socket changed its state.
 *
 * Hook:   tp_btf, in process context and softirq, under the socket's lock: its counters are at rest.
 * Cost:   about 10 runs a connection for both ends, half of which return at once.
 * Misses: the kernel skips a program that already runs on this CPU (a softirq interrupts process
 *         context): those runs are in recursion_misses, and the twin takes them.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int from, int to)
{
	struct settings *s;

	if (!state_matters(to) && !state_is_birth(from, to)) {
		if (is_in_sockmap(sk))
			on_sockmap(sk);
		if (state_is_peer_closed(from, to) && settings__if_active())
			on_fin(sk);
		if (to == TCP_FIN_WAIT1 && (s = settings__if_active()) && s->asked.records)
			on_own_fin(sk);
		return 0;
	}
	s = settings__if_active();
	if (s)
		on_state(sk, from, to, s, false);
	return 0;
}

/*
 * The same hook again, for what the first one could not see.
 *
 * Hook:   as above, attached beside it: what interrupts the first finds this one free.
 * Cost:   one look at the socket's storage, at half of the runs.
 * Misses: changes for which the kernel calls no program at all: with RPS on 6.18 some 0.1 % of those in
 *         softirq, which no witness program sees either (ARCHITECTURE.md, "What is lost where").
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_twin, struct sock *sk, int from, int to)
{
	struct settings *s;

	if (!state_matters(to)) {
		if (state_is_peer_closed(from, to) && settings__if_active())
			on_fin(sk);
		return 0;
	}
	s = settings__if_active();
	if (s && !state_is_noted(sk, to))
		on_state(sk, from, to, s, true);
	return 0;
}

/*
 * A segment was sent again.
 *
 * Hook:   tp_btf, in softirq or process context, after total_retrans has grown.
 * Cost:   once a retransmit; nothing on the path of a healthy connection.
 * Misses: nothing: what no event told (a failed resend, a skipped run) is counted later as `syn` where
 *         no handshake was complete, else as `other`.
 *         Since ad892e912b84 it also fires for failed resends; total_retrans counts those either way.
 */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (s)
		on_retransmit(sk, s);
	return 0;
}

/*
 * A SYN-ACK was sent again; there is no full socket yet.
 *
 * Hook:   tp_btf, from the request's timer or a repeated SYN.
 * Cost:   once a repeated SYN-ACK.
 * Misses: SYN-ACKs repeated while SYN cookies are in use: those keep no request.
 */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	struct settings *s = settings__if_active();

	if (s)
		on_retransmit_synack(sk, req, s);
	return 0;
}

/*
 * We sent a RST.
 *
 * Hook:   tp_btf; sk is NULL when no socket is behind it (a closed port).
 * Cost:   once a RST.
 * Misses: RSTs without a full socket; they belong to no connection of ours.
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (sk && s)
		on_reset(sk, RESET_SENT, s);
	return 0;
}

/*
 * A RST came for a connection.
 *
 * Hook:   tp_btf, before the socket closes.
 * Cost:   once a RST.
 * Misses: RSTs that match no socket.
 */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (sk && s) {
		if (is_in_sockmap(sk))
			on_sockmap(sk);
		on_reset(sk, RESET_RECEIVED, s);
	}
	return 0;
}

/*
 * An error is told to the application.
 *
 * Hook:   tp_btf, in softirq or process context.
 * Cost:   once an error; nothing on the path of a healthy connection.
 * Misses: nothing that sk_err still holds at the close.
 */
SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(inet_sk_error_report, const struct sock *sk)
{
	if (settings__if_active())
		on_error((struct sock *)sk);
	return 0;
}

#endif
