/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the hooks do when a socket sends again, is reset or gets an error: once for each of these. */
#ifndef TCP_RETRANSMIT_RESET_H
#define TCP_RETRANSMIT_RESET_H

#include "common/advance.h"
#include "common/cgroups.h"
#include "common/edge_keys.h"
#include "common/edges.h"
#include "contract/connection_record.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/troubles.h"
#include "tcp/undecided.h"

/*
 * Whether the retransmission timer began the Loss that the socket is in. tcp_enter_loss() begins most by setting
 * undo_marker, tcp_non_congestion_loss_retransmit() all by clearing it; out of CWR or an undone Recovery a timer's
 * begins with it cleared, too. Then its first resend, at which icsk_retransmits has grown, tells where the Loss ends.
 */
static __always_inline bool loss__is_timers(struct connection *c, struct tcp_sock *tp)
{
	if (tp->inet_conn.icsk_retransmits)
		c->loss_high_seq = tp->high_seq;
	return tp->inet_conn.icsk_retransmits || tp->undo_marker || tp->high_seq == c->loss_high_seq;
}

/* By the recovery that the socket is in and the timer that runs: tcp_retransmit_skb has no other sign of its cause. */
static __always_inline __u8 retransmit__kind(struct connection *c, struct tcp_sock *tp, __u8 state)
{
	__u8 recovery = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);

	if (state == TCP_SYN_SENT || state == TCP_SYN_RECV)
		return EVENT_RETRANSMIT_SYN;
	if (recovery == TCP_CA_Loss)
		return loss__is_timers(c, tp) ? EVENT_RETRANSMIT_TIMEOUT : EVENT_RETRANSMIT_NON_CONGESTION;
	if (recovery != TCP_CA_Recovery && tp->inet_conn.icsk_pending == ICSK_TIME_LOSS_PROBE)
		return EVENT_RETRANSMIT_TLP;
	/* Data on a SYN that was not taken is sent again in Open by kernels that do not enter Loss for it. */
	return recovery == TCP_CA_Open ? EVENT_RETRANSMIT_NON_CONGESTION : EVENT_RETRANSMIT_FAST;
}

static __always_inline void count_retransmits(struct edge_value *edge, __u8 kind, __u32 segs)
{
	struct edge_counters *growth = &edge->growth;

	if (kind == EVENT_RETRANSMIT_SYN)
		edge__add(growth->retransmits_syn, segs);
	else if (kind == EVENT_RETRANSMIT_TIMEOUT)
		edge__add(growth->retransmits_timeout, segs);
	else if (kind == EVENT_RETRANSMIT_FAST)
		edge__add(growth->retransmits_fast, segs);
	else if (kind == EVENT_RETRANSMIT_TLP)
		edge__add(growth->retransmits_tlp, segs);
	else
		edge__add(growth->retransmits_non_congestion, segs);
}

static __always_inline void on_retransmit(struct sock *sk, struct settings *s)
{
	struct connection *c = connection__of(sk);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 now = bpf_ktime_get_boot_ns();
	struct edge_value *edge;
	__u8 kind;
	__u32 segs;

	if (!c || !tp || !c->start_ns)
		return;
	edge = edge__enter(&c->key, EDGE_MISS_DEFERS);
	if (!edge)
		return; /* the next count of this socket takes them as `other` */
	/* The socket's own count, not the number of events: one event may resend several segments. */
	segs = advance32(&c->retransmits, tp->total_retrans);
	if (segs) {
		kind = retransmit__kind(c, tp, sk->__sk_common.skc_state);
		count_retransmits(edge, kind, segs);
		if (s->asked.records)
			trouble__note(sk, tp, kind, segs, now);
	}
	edge__touch(edge, now);
	edge__leave(edge);
}

static __always_inline void on_retransmit_synack(struct sock *listener, struct request_sock *req, struct settings *s)
{
	struct edge_key key = { .role = ROLE_SERVER };
	struct edge_value *edge;

	key.cgroup = cgroup__of_socket(listener);
	if (!key.cgroup)
		return;
	key__from_sock(&key, &req->__req_common, IPPROTO_TCP);
	key.netns = listener->__sk_common.skc_net.net->ns.inum;
	key__collapse(&key, s);
	edge = edge__enter(&key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return;
	edge__add(edge->growth.retransmits_syn, 1);
	edge__touch(edge, bpf_ktime_get_boot_ns());
	edge__leave(edge);
}

/* @return whether it is held until it shows who sent it: see undecided.h */
static __always_inline bool reset__decides_later(struct connection *c, struct sock *sk, __u32 flag, __u64 now)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (flag == RESET_SENT) {
		if (c->flags & UNDECIDED)
			undecided__was_sent(sk);
		return false;
	}
	if (!tp || c->flags & (RESET_SENT | RESET_RECEIVED) || !reset__is_undecided(sk, tp))
		return false;
	return !connection__claim(c, UNDECIDED) || undecided__hold(c, sk, tp, RESET_RECEIVED, now);
}

/* @param flag RESET_SENT or RESET_RECEIVED, counted once a connection */
static __always_inline void on_reset(struct sock *sk, __u32 flag, struct settings *s)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u8 state = sk->__sk_common.skc_state;
	struct connection *c;
	struct edge_value *edge;

	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV)
		return; /* not a full socket: it has no storage */
	c = connection__of(sk);
	if (!c || !(c->flags & ESTABLISHED))
		return;
	if (reset__decides_later(c, sk, flag, now))
		return;
	edge = edge__enter(&c->key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return;
	if (connection__claim(c, flag)) {
		if (flag == RESET_SENT)
			edge__add(edge->growth.reset_sent, 1);
		else
			edge__add(edge->growth.reset_received, 1);
		edge__touch(edge, now);
		if (s->asked.records && !(c->flags & CLOSED)) /* else its record is made */
			trouble__note(sk, bpf_skc_to_tcp_sock(sk),
				      flag == RESET_SENT ? EVENT_RESET_SENT : EVENT_RESET_RECEIVED, 0, now);
	}
	edge__leave(edge);
}

/* @return the error that an ICMP message left on the socket's error queue, 0 for none */
static __always_inline int queued_error(struct sock *sk)
{
	struct sk_buff *newest = BPF_CORE_READ(sk, sk_error_queue.prev);
	struct sock_exterr_skb *message;

	if (!newest || (void *)newest == (void *)sk + bpf_core_field_offset(sk->sk_error_queue))
		return 0; /* an empty queue points at itself */
	message = (void *)newest + bpf_core_field_offset(newest->cb);
	return BPF_CORE_READ(message, ee.ee_errno);
}

/*
 * An error is about to be told to the application. One that waits on another CPU takes it (SO_ERROR) so soon
 * that sk_err is 0 again when the socket closes: then this is what ended the connect.
 */
static __always_inline void on_error(struct sock *sk)
{
	struct connection *c;

	if (sk->sk_protocol != IPPROTO_TCP || sk->__sk_common.skc_state != TCP_SYN_SENT)
		return;
	c = connection__of(sk);
	if (c)
		c->error = sk->sk_err ?: queued_error(sk);
}

#endif
