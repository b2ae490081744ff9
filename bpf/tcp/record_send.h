/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The record of a connection that ends.
 *
 *   retransmit, reset ──► trouble (of this socket) ──┐
 *   close, walk ──► sampling ──► token bucket ──► record ──► ring buffer ──► probe
 */
#ifndef TCP_RECORD_SEND_H
#define TCP_RECORD_SEND_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/aborts.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/sampling.h"
#include "tcp/troubles.h"
#include "tcp/undecided.h"

static __always_inline void record__send_plain(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
					       const struct interim *before, __u64 now, struct settings *s,
					       const struct sampling_decision *decision)
{
	struct frame_connection *r = bpf_ringbuf_reserve(&records, sizeof(*r), 0);

	if (!r) {
		loss__count(LOSS_RECORDS_FULL);
		return;
	}
	record__fill(r, c, sk, tp, s);
	r->state = from;
	r->interims = before ? before->number : 0;
	record__finish(r, decision, now);
}

static __always_inline void record__send_troubled(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
						  const struct interim *before, __u64 now, struct settings *s,
						  const struct sampling_decision *decision, struct trouble *t)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		loss__count(LOSS_RECORDS_FULL);
		return;
	}
	record__fill(&record->connection, c, sk, tp, s);
	record->connection.state = from;
	record->connection.interims = before ? before->number : 0;
	record->connection.event_count = t->count < CONNECTION_EVENTS ? t->count : CONNECTION_EVENTS;
	__builtin_memcpy(record->events, t->events, sizeof(record->events));
	record__finish(&record->connection, decision, now);
}

/*
 * @param from   the state that it closes from
 * @param tenant edge_value.tenant of its edge
 */
static __always_inline void record__send(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
					 __u64 now, struct settings *s, __u32 tenant)
{
	struct interim *before = c->flags & HAS_INTERIM ? beside__of(interims, sk) : NULL;
	struct trouble *t;
	struct sampling_decision decision;

	/* An older MPTCP socket's queues are not those of its subflow: they say nothing of a RST. */
	if (sk->sk_protocol == IPPROTO_TCP && c->flags & ESTABLISHED &&
	    !(c->flags & (RESET_SENT | RESET_RECEIVED | UNDECIDED))) {
		if (reset_follows(sk, tp, from)) {
			__sync_fetch_and_or(&c->flags, ABORTED);
			trouble__note(sk, tp, EVENT_RESET_SENT, 0, now);
		} else if (reset_may_follow(c, sk, tp, from) && undecided__hold(c, sk, tp, 0, now)) {
			__sync_fetch_and_or(&c->flags, UNDECIDED);
		}
	}
	if (!record__decide(&decision, c, tp, before, false, now, s, tenant))
		return;
	if (c->key.role == ROLE_SERVER && !c->pid && !(c->flags & ADOPTED))
		loss__count(LOSS_PROCESS_UNKNOWN_DETAIL);
	if (c->flags & UNDECIDED) {
		if (undecided__keep_record(c, sk, tp, from, before, s, &decision, now))
			return;
		__sync_fetch_and_or(&c->flags, RESET_RECEIVED);
	}
	t = beside__of(troubles, sk);
	if (t)
		record__send_troubled(c, sk, tp, from, before, now, s, &decision, t);
	else
		record__send_plain(c, sk, tp, from, before, now, s, &decision);
}

#endif
