/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Whether a close is an abort: the kernel changes the state first and sends the RST after it, when the record
 * has been made, so the socket's own facts must say what it will do. Read in the hook, where they are at rest.
 *
 * All ways from an open state to CLOSE, of 6.1 to 6.18 (tcp.c, tcp_input.c, tcp_minisocks.c):
 *
 *   close() of unread data            RST, whatever the state: the receive queue was emptied, copied_seq not moved
 *   close() without lingering,        RST where tcp_need_reset() says so (ESTABLISHED, CLOSE_WAIT, both FIN_WAIT), and
 *   connect(AF_UNSPEC)                where the own FIN waits behind data in CLOSING and LAST_ACK
 *   too many orphans, no memory       RST, from an orphan whose FIN is not acknowledged
 *   TCP_LINGER2 below 0               RST, from an orphan in FIN_WAIT2
 *   the peer's FIN, or its last ACK   none: TIME_WAIT or nothing follows
 *   an orphan reaches FIN_WAIT2       none: TIME_WAIT follows; but RST where the segment that acknowledges its FIN
 *                                     carries data, or lies beyond a gap, which only the RST itself tells:
 *                                     reset_may_follow()
 *   TCP_REPAIR                        none
 *   an error (sk_err)                 what was sent or came was seen before the close
 */
#ifndef TCP_ABORTS_H
#define TCP_ABORTS_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"

static __always_inline bool sock__has_flag(struct sock *sk, enum sock_flags flag)
{
	return sk->__sk_common.skc_flags & (1UL << flag);
}

/* Only close() takes data off the queue that nobody has read. A FIN that nobody has read is no data. */
static __always_inline bool unread_was_dropped(struct sock *sk, struct tcp_sock *tp)
{
	__u32 unread = tp->rcv_nxt - tp->copied_seq;

	return !sk->sk_receive_queue.qlen && unread > (sock__has_flag(sk, SOCK_DONE) ? 1 : 0);
}

/* @param from the state that it closes from */
static __always_inline bool reset_follows(struct sock *sk, struct tcp_sock *tp, int from)
{
	bool is_orphan = sock__has_flag(sk, SOCK_DEAD);

	if (BPF_CORE_READ_BITFIELD(tp, repair))
		return false;
	if (unread_was_dropped(sk, tp))
		return true;
	/* Shut down both ways and still in these states: within close(). An error may wait there that ended nothing. */
	if (from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT)
		return !sk->sk_err || sk->sk_shutdown == SHUTDOWN_MASK;
	if (sk->sk_err)
		return false;
	if (from == TCP_FIN_WAIT1)
		return true;
	if (from == TCP_FIN_WAIT2)
		return is_orphan ? tp->linger2 < 0 : !sock__has_flag(sk, SOCK_DONE);
	if (from == TCP_CLOSING || from == TCP_LAST_ACK)
		return is_orphan ? tp->snd_una != tp->write_seq : tp->snd_nxt != tp->write_seq;
	return false;
}

/*
 * Whether data may have come with the acknowledgement of an orphan's FIN (tcp_rcv_state_process(), FIN_WAIT1), or a FIN
 * over a gap, whose place snd_wl1 tells: such data came after the FIN was sent. Then undecided.h waits for the RST;
 * where application and peer go on in half closed ones, in vain.
 */
static __always_inline bool reset_may_follow(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from)
{
	unsigned long both = 1UL << SOCK_DEAD | 1UL << SOCK_DONE;
	/* In one: each branch doubles what the verifier goes through. */
	__u64 is_another =
		(from ^ TCP_FIN_WAIT2) | ((sk->__sk_common.skc_flags & both) ^ 1UL << SOCK_DEAD) | (__u32)sk->sk_err;

	return !is_another && (tp->data_segs_in != c->data_segs_at_fin || tp->snd_wl1 != tp->rcv_nxt);
}

/* Its own FIN is about to be sent. */
static __always_inline void on_own_fin(struct sock *sk)
{
	struct connection *c = connection__of(sk);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (c && tp)
		c->data_segs_at_fin = tp->data_segs_in;
}

#endif
