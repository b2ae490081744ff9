/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Interim records: what a connection that stays open has done since its last one, after each active timeout (IPFIX). */
#ifndef TCP_INTERIM_H
#define TCP_INTERIM_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/sampling.h"

#define interim__subtract(record, reported, field)                    \
	do {                                                          \
		__typeof__((record)->field) now_is = (record)->field; \
                                                                      \
		(record)->field = now_is - (reported)->field;         \
		(reported)->field = now_is;                           \
	} while (0)

/* Interim records of an adopted connection begin at the first walk: what was before it belongs to none. */
static __always_inline void interim__begin(struct connection *c, struct sock *sk, struct tcp_sock *tp, struct state *st,
					   struct settings *s)
{
	struct interim *first = beside__make(interims, sk);

	if (!first)
		return; /* the next walk tries again */
	record__fill(&first->reported, c, sk, tp, s);
	first->since_ns = st->walk_ns;
	__sync_fetch_and_or(&c->flags, HAS_INTERIM);
}

/* A record of what a connection that stays open has done since its last one, when that is long enough ago. */
static __always_inline void record__send_interim(struct connection *c, struct sock *sk, struct tcp_sock *tp,
						 struct state *st, struct settings *s, __u32 tenant)
{
	struct interim *before = beside__of(interims, sk);
	__u64 since = before ? before->since_ns : c->start_ns;
	struct frame_connection *r;
	struct sampling_decision decision;

	if (!before && c->flags & ADOPTED) {
		interim__begin(c, sk, tp, st, s);
		return;
	}
	if (st->walk_ns < since + s->asked.active_timeout_ns ||
	    !record__decide(&decision, c, tp, before, true, st->walk_ns, s, tenant))
		return;
	before = beside__make(interims, sk);
	r = before ? bpf_ringbuf_reserve(&records, sizeof(*r), 0) : NULL;
	if (!r)
		return; /* the next walk tries again: its period will be longer */
	__sync_fetch_and_or(&c->flags, HAS_INTERIM);
	record__fill(r, c, sk, tp, s);
	r->start_ns = since;
	r->interims = before->number++;
	r->flags |= 1 << CONNECTION_INTERIM;
	before->since_ns = st->walk_ns;
	before->reasons |= decision.reasons;
	interim__subtract(r, &before->reported, bytes_sent);
	interim__subtract(r, &before->reported, bytes_received);
	interim__subtract(r, &before->reported, segs_out);
	interim__subtract(r, &before->reported, segs_in);
	interim__subtract(r, &before->reported, retransmits);
	interim__subtract(r, &before->reported, retransmits_syn);
	interim__subtract(r, &before->reported, retransmits_fast);
	interim__subtract(r, &before->reported, retransmits_timeout);
	interim__subtract(r, &before->reported, retransmits_tlp);
	interim__subtract(r, &before->reported, retransmits_non_congestion);
	interim__subtract(r, &before->reported, spurious);
	interim__subtract(r, &before->reported, out_of_order);
	interim__subtract(r, &before->reported, busy_us);
	interim__subtract(r, &before->reported, rwnd_limited_us);
	interim__subtract(r, &before->reported, sndbuf_limited_us);
	record__finish(r, &decision, st->walk_ns);
}

#endif
