/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What went wrong on one socket, event by event, for its record: a healthy connection has none. */
#ifndef TCP_TROUBLES_H
#define TCP_TROUBLES_H

#include "common/maps.h"
#include "common/socket_storage.h"
#include "contract/connection_record.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"

/* The trouble of one socket: the first CONNECTION_EVENTS events, and how many segments of each type were resent. */
struct trouble {
	__u32 count; /* events, also those past the last slot */
	__u32 resent_syn;
	__u32 resent_fast;
	__u32 resent_timeout;
	__u32 resent_tlp;
	__u32 resent_non_congestion;
	__u64 zero_window_walk; /* the last walk that found the window closed */
	struct connection_event events[CONNECTION_EVENTS];
};

/*
 * Retransmits and resets of one socket, one by one, for its record. Made at the first one, so that a healthy connection
 * has none. Written under the socket's lock, and by the walk. Without memory or room LOSS_EVENT_FAILED_DETAIL counts.
 */
SOCKET_STORAGE(troubles, struct trouble);

static __always_inline void trouble__add(struct trouble *t, struct tcp_sock *tp, __u8 kind, __u32 segs, __u64 now)
{
	__u32 slot = __sync_fetch_and_add(&t->count, 1);

	if (slot >= CONNECTION_EVENTS)
		return;
	t->events[slot].time_ns = now;
	t->events[slot].segments = segs;
	t->events[slot].kind = kind;
	t->events[slot].state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
	t->events[slot].recovery = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);
}

/* @return the socket's trouble, made at the first one; NULL without memory: the counters still know, its record does not */
static __always_inline struct trouble *trouble__of(struct sock *sk)
{
	struct trouble *t = beside__make(troubles, sk);

	if (!t)
		loss__count(LOSS_EVENT_FAILED_DETAIL);
	return t;
}

static __always_inline void trouble__note(struct sock *sk, struct tcp_sock *tp, __u8 kind, __u32 segs, __u64 now)
{
	struct trouble *t = trouble__of(sk);

	if (!t || !tp)
		return;
	if (kind == EVENT_RETRANSMIT_SYN)
		t->resent_syn += segs;
	else if (kind == EVENT_RETRANSMIT_FAST)
		t->resent_fast += segs;
	else if (kind == EVENT_RETRANSMIT_TIMEOUT)
		t->resent_timeout += segs;
	else if (kind == EVENT_RETRANSMIT_TLP)
		t->resent_tlp += segs;
	else if (kind == EVENT_RETRANSMIT_NON_CONGESTION)
		t->resent_non_congestion += segs;
	trouble__add(t, tp, kind, segs, now);
}

/* Once for each time that the window is found closed, however long it stays so. The walk itself began before other events. */
static __always_inline void trouble__note_zero_window(struct sock *sk, struct tcp_sock *tp, struct state *st)
{
	struct trouble *t = trouble__of(sk);
	bool is_new;

	if (!t)
		return;
	is_new = t->zero_window_walk + 1 != st->walk;
	t->zero_window_walk = st->walk;
	if (is_new)
		trouble__add(t, tp, EVENT_ZERO_WINDOW, 0, bpf_ktime_get_boot_ns());
}

#endif
