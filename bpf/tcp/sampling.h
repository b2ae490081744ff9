/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Whether a record is made: sampling, then the token bucket, before a place in the ring buffer is taken. Edges know nothing
 * of it: whatever is sampled away or shed, the metrics are exact.
 */
#ifndef TCP_SAMPLING_H
#define TCP_SAMPLING_H

#include "common/maps.h"
#include "common/siphash.h"
#include "common/tokens.h"
#include "contract/connection_record.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/round_trips.h"

static __always_inline __u64 randomness(const __u64 id[2])
{
	return bpf_be64_to_cpu(id[1]) & (SAMPLE_NEVER - 1);
}

/*
 * Both ends make the same id of an established connection; one that never was has only one end. A restored one has the
 * numbers of the socket before it where that had sent and received nothing: its begin tells the two apart.
 */
static __always_inline void trace__identify(struct connection *c, struct settings *s, __u64 id[2])
{
	__u64 numbers = (__u64)c->client_isn << 32 | c->server_isn;

	if (c->flags & ESTABLISHED) {
		siphash__of_word(s->asked.trace_key, c->flags & RESTORED ? numbers ^ c->start_ns : numbers, id);
		return;
	}
	id[0] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	id[1] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
}

static __always_inline bool is_remarkable(struct connection *c, struct tcp_sock *tp, struct settings *s)
{
	const struct command_settings *asked = &s->asked;

	if (!asked->adaptive)
		return false;
	return !(c->flags & ESTABLISHED) || c->flags & (RESET_SENT | RESET_RECEIVED | ABORTED | UNDECIDED) ||
	       (asked->adaptive_rtt_us && newest_rtt_us(tp) > asked->adaptive_rtt_us) ||
	       tp->total_retrans > asked->adaptive_retransmits;
}

/*
 * An interim record that was not kept is asked for again at the next walk: counting would keep it sooner or later.
 * So every Nth connection's are kept.
 */
static __always_inline bool is_nth(struct sampler *sampler, const __u64 id[2], __u32 every, bool is_interim)
{
	if (!every)
		return false;
	return (is_interim ? id[0] : ++sampler->seen) % every == 0;
}

/*
 * @param threshold out: the rejection threshold that it was kept under
 * @return enum sample_reason, a bit each: why it is kept; -1: it is not
 */
static __always_inline int sample(struct connection *c, struct tcp_sock *tp, struct settings *s,
				  struct sampler *sampler, const __u64 id[2], bool is_interim, __u64 *threshold)
{
	const struct command_settings *asked = &s->asked;
	int reasons = 0;

	*threshold = 0;
	if (!asked->sample_every && !asked->adaptive && asked->sample_threshold >= SAMPLE_NEVER)
		return 0;
	if (is_remarkable(c, tp, s))
		reasons |= 1 << SAMPLE_ADAPTIVE;
	else
		*threshold = asked->sample_threshold;
	if (randomness(id) >= asked->sample_threshold)
		reasons |= 1 << SAMPLE_RANDOM;
	else if (!reasons)
		*threshold = SAMPLE_NEVER;
	if (is_nth(sampler, id, asked->sample_every, is_interim))
		reasons |= 1 << SAMPLE_EVERY_NTH;
	return reasons ?: -1;
}

/* What was decided before there is a place for a record. */
struct sampling_decision {
	__u64 id[2];
	__u64 threshold;
	int reasons;        /* enum sample_reason, a bit each */
	__u32 wakeup_flags; /* BPF_RB_NO_WAKEUP or BPF_RB_FORCE_WAKEUP */
};

/* Of those before this one. */
static __always_inline bool records__have_gathered(void)
{
	__u64 bytes = bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA);

	return bytes >= RECORDS_WAKE_BYTES || bytes >= bpf_ringbuf_query(&records, BPF_RB_RING_SIZE) / 4;
}

/* Forced: the ring buffer's own measure wakes only a reader that had read everything. */
static __always_inline __u32 record__wakeup_flags(struct sampler *sampler, const struct settings *s, __u64 now)
{
	if (now < sampler->woken_ns + WAKE_NS || (!s->asked.records_at_once && !records__have_gathered()))
		return BPF_RB_NO_WAKEUP;
	sampler->woken_ns = now;
	return BPF_RB_FORCE_WAKEUP;
}

/*
 * @param before the connection's interim records so far, or NULL: where one was sent, so is the whole
 * @param tenant edge_value.tenant of its edge
 * @return whether this one is to be sent: sampling keeps it and the bucket has a token for it
 */
static __always_inline bool record__decide(struct sampling_decision *decision, struct connection *c,
					   struct tcp_sock *tp, const struct interim *before, bool is_interim,
					   __u64 now, struct settings *s, __u32 tenant)
{
	struct sampler *sampler = bpf_map_lookup_elem(&samplers, &zero);
	__u32 place = tenant ? tenant - 1 : TENANT_NOBODY;
	struct tenant_records *own;

	if (!sampler)
		return false;
	trace__identify(c, s, decision->id);
	decision->reasons = sample(c, tp, s, sampler, decision->id, is_interim, &decision->threshold);
	if (decision->reasons < 0) {
		if (is_interim || !before || !before->number)
			return false;
		decision->reasons = before->reasons;
	}
	own = bpf_map_lookup_elem(&tenant_records, &place);
	if (!own || !token__take(sampler, own, &s->asked, now)) {
		if (!is_interim) /* the next walk tries again: its period will be longer */
			loss__count(LOSS_RECORDS_SHED);
		return false;
	}
	decision->wakeup_flags = record__wakeup_flags(sampler, s, now);
	return true;
}

static __always_inline void record__finish(struct frame_connection *r, const struct sampling_decision *decision,
					   __u64 now)
{
	__builtin_memcpy(r->trace_id, decision->id, sizeof(r->trace_id));
	r->sample_threshold = decision->threshold;
	r->kept = decision->reasons;
	r->end_ns = now;
	bpf_ringbuf_submit(r, decision->wakeup_flags);
}

#endif
