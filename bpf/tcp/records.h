/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Records: what becomes a connection span. One at a connection's end, and interim records of a long one while it is open.
 *
 *   retransmit, reset ──► trouble (of this socket) ──┐
 *   close, walk ──► sampling ──► token bucket ──► record ──► ring buffer ──► probe
 *
 * Edges know nothing of it: whatever is sampled away or shed, the metrics are exact.
 */
#ifndef TCP_RECORDS_H
#define TCP_RECORDS_H

/* What the interim records before have reported: the next one is the difference. */
struct interim {
	__u64 since_ns;
	__u32 number;
	__u32 reasons; /* enum sample_reason, a bit each: why any of them was kept, and so will the whole be */
	struct frame_connection reported;
};

/* As it lies in the ring buffer; the probe sends no more events than there are. */
struct record {
	struct frame_connection connection;
	struct connection_event events[CONNECTION_EVENTS];
};

/* A reset that came or is about to be sent, and the record of the close in between: see undecided.h. */
struct undecided {
	__u32 phase;     /* enum undecided_phase */
	__u16 otherwise; /* what it is where this end sends no RST: RESET_RECEIVED, or 0, no reset at all */
	__u16 has_record;
	__u64 socket; /* its address */
	struct edge_key key;
	__u64 time_ns;
	__u8 state;    /* enum tcp_state at that moment */
	__u8 recovery; /* enum tcp_ca_state */
	__u16 zero;
	__u32 hash; /* of its addresses and ports: the socket's place among others, which it keeps when it closes */
	struct record record;
};

static __always_inline void record__forget(struct sock *sk)
{
	bpf_sk_storage_delete(&troubles, sk);
	bpf_sk_storage_delete(&interims, sk);
}

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

static __always_inline __u32 clamp_us(__u64 us)
{
	return us > 0xffffffff ? 0xffffffff : us;
}

/*
 * One that failed has given its port back, but for inet_sport. One that never had a port still has the port there
 * of the connection before it.
 */
static __always_inline __u16 record__local_port(struct connection *c, struct sock *sk, struct tcp_sock *tp)
{
	if (c->flags & UNSENT)
		return sk->__sk_common.skc_num;
	return c->local_port ?: bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

#define NO_RTT 0xffffffff

/* tcp_disconnect() leaves the smallest round trip of the connection before, which then is older than this one. */
static __always_inline __u32 record__min_rtt(struct connection *c, struct tcp_sock *tp, struct settings *s)
{
	__u64 age_ns;

	if (c->flags & REUSED) {
		age_ns = (__u64)((__u32)bpf_jiffies64() - tp->rtt_min.s[0].t) * (1000000000 / (s->jiffies_per_s ?: 1));
		if (bpf_ktime_get_boot_ns() - c->start_ns < age_ns)
			return NO_RTT;
	}
	return tp->rtt_min.s[0].v;
}

static __always_inline void record__fill(struct frame_connection *r, struct connection *c, struct sock *sk,
					 struct tcp_sock *tp, struct settings *s)
{
	struct trouble *t = bpf_sk_storage_get(&troubles, sk, 0, 0);
	__u32 flags = c->flags;

	r->key = c->key;
	if (sk->__sk_common.skc_family == AF_INET)
		address__from_v4(r->key.remote_addr, sk->__sk_common.skc_daddr);
	else
		address__from_v6(r->key.remote_addr, &sk->__sk_common.skc_v6_daddr);
	r->start_ns = c->start_ns;
	r->established_ns = c->established_ns;
	r->bytes_sent = c->bytes_sent;
	r->bytes_received = c->bytes_received;
	r->segs_out = c->segs_out;
	r->segs_in = c->segs_in;
	r->retransmits = c->retransmits;
	r->retransmits_syn = (t ? t->resent_syn : 0) + c->unreported_syns;
	r->retransmits_fast = t ? t->resent_fast : 0;
	r->retransmits_timeout = t ? t->resent_timeout : 0;
	r->retransmits_tlp = t ? t->resent_tlp : 0;
	r->retransmits_non_congestion = t ? t->resent_non_congestion : 0;
	r->spurious = c->spurious;
	r->out_of_order = c->out_of_order;
	r->handshake_us = c->handshake_us;
	r->srtt_us = tp->srtt_us >> 3;
	r->min_rtt_us = record__min_rtt(c, tp, s);
	r->last_rtt_us = newest_rtt_us(tp);
	r->busy_us = clamp_us(jiffies_to_us(c->busy - c->former_busy, s));
	r->rwnd_limited_us = clamp_us(jiffies_to_us(c->rwnd_limited - c->former_rwnd_limited, s));
	r->sndbuf_limited_us = clamp_us(jiffies_to_us(c->sndbuf_limited - c->former_sndbuf_limited, s));
	r->pid = c->pid;
	r->interims = 0;
	r->local_port = record__local_port(c, sk, tp);
	r->remote_port = c->remote_port;
	/* tcp_disconnect() leaves an error for the next connection, which tcp_connect_init() clears. */
	r->error = flags & UNSENT ? c->error : sk->sk_err ?: c->error;
	r->flags = ((flags & (ADOPTED | RESTORED)) == ADOPTED ? 1 << CONNECTION_ADOPTED : 0) |
		   (flags & (RESET_SENT | ABORTED) ? 1 << CONNECTION_RESET_SENT : 0) |
		   (flags & RESET_RECEIVED ? 1 << CONNECTION_RESET_RECEIVED : 0) |
		   (flags & UNSENT ? 1 << CONNECTION_NOT_SENT : 0) | (flags & RESTORED ? 1 << CONNECTION_RESTORED : 0) |
		   (flags & CHECKPOINTED ? 1 << CONNECTION_CHECKPOINTED : 0) |
		   (flags & IN_SOCKMAP ? 1 << CONNECTION_IN_SOCKMAP : 0);
	r->event_count = 0;
	r->state = sk->__sk_common.skc_state;
	__builtin_memset(r->zero, 0, sizeof(r->zero));
	__builtin_memcpy(r->comm, c->comm, sizeof(r->comm));
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
 * @return whether this one is to be sent: sampling keeps it and the bucket has a token for it
 */
static __always_inline bool record__decide(struct sampling_decision *decision, struct connection *c,
					   struct tcp_sock *tp, const struct interim *before, bool is_interim,
					   __u64 now, struct settings *s)
{
	struct sampler *sampler = bpf_map_lookup_elem(&samplers, &zero);

	if (!sampler)
		return false;
	trace__identify(c, s, decision->id);
	decision->reasons = sample(c, tp, s, sampler, decision->id, is_interim, &decision->threshold);
	if (decision->reasons < 0) {
		if (is_interim || !before || !before->number)
			return false;
		decision->reasons = before->reasons;
	}
	if (!token__take(sampler, &s->asked, now)) {
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

static __always_inline bool undecided__hold(struct connection *c, struct sock *sk, struct tcp_sock *tp, __u32 otherwise,
					    __u64 now);
static __always_inline bool undecided__keep_record(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
						   const struct interim *before, struct settings *s,
						   const struct sampling_decision *decision, __u64 now);

/* @param from the state that it closes from */
static __always_inline void record__send(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
					 __u64 now, struct settings *s)
{
	struct interim *before = c->flags & HAS_INTERIM ? bpf_sk_storage_get(&interims, sk, 0, 0) : NULL;
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
	t = bpf_sk_storage_get(&troubles, sk, 0, 0);
	if (!record__decide(&decision, c, tp, before, false, now, s))
		return;
	if (c->key.role == ROLE_SERVER && !c->pid && !(c->flags & ADOPTED))
		loss__count(LOSS_PROCESS_UNKNOWN_DETAIL);
	if (c->flags & UNDECIDED) {
		if (undecided__keep_record(c, sk, tp, from, before, s, &decision, now))
			return;
		__sync_fetch_and_or(&c->flags, RESET_RECEIVED);
	}
	if (t)
		record__send_troubled(c, sk, tp, from, before, now, s, &decision, t);
	else
		record__send_plain(c, sk, tp, from, before, now, s, &decision);
}

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
	struct interim *first = bpf_sk_storage_get(&interims, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!first)
		return; /* the next walk tries again */
	record__fill(&first->reported, c, sk, tp, s);
	first->since_ns = st->walk_ns;
	__sync_fetch_and_or(&c->flags, HAS_INTERIM);
}

/* A record of what a connection that stays open has done since its last one, when that is long enough ago. */
static __always_inline void record__send_interim(struct connection *c, struct sock *sk, struct tcp_sock *tp,
						 struct state *st, struct settings *s)
{
	struct interim *before = bpf_sk_storage_get(&interims, sk, 0, 0);
	__u64 since = before ? before->since_ns : c->start_ns;
	struct frame_connection *r;
	struct sampling_decision decision;

	if (!before && c->flags & ADOPTED) {
		interim__begin(c, sk, tp, st, s);
		return;
	}
	if (st->walk_ns < since + s->asked.active_timeout_ns ||
	    !record__decide(&decision, c, tp, before, true, st->walk_ns, s))
		return;
	before = bpf_sk_storage_get(&interims, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
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
