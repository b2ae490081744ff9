/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Resets of which nobody can tell yet who sent them.
 *
 * Data for a socket that was closed, or shut down for reading, ends it as a RST would: tcp_reset() runs, and with it
 * the tracepoint of a RST that came, though none did and one is sent right after (tcp_rcv_state_process(), TCPAbortOnData).
 *
 *   tcp_receive_reset ──► held ──► close: its record is held, too ──► tcp_send_reset of that socket: we sent it
 *                                                                  └─► next one held, or the walk: it came
 *
 * All three run within one softirq, so what is held waits for no other CPU's event.
 */
#ifndef FLOWSPAN_UNDECIDED_H
#define FLOWSPAN_UNDECIDED_H

#define RCV_SHUTDOWN 1

/* The kernel's answers to strays carry no timestamp, so a RST without one came for sure. */
static __always_inline bool reset__is_undecided(struct sock *sk, struct tcp_sock *tp)
{
	__u8 state = sk->__sk_common.skc_state;

	if ((state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2) || !(sk->sk_shutdown & RCV_SHUTDOWN))
		return false;
	return !BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok) || BPF_CORE_READ_BITFIELD(tp, rx_opt.saw_tstamp);
}

/* @return whether a record waits and is the caller's now: the walk, an interrupt and the close may all look for it */
static __always_inline bool undecided__take_record(struct undecided *u)
{
	return __sync_val_compare_and_swap(&u->has_record, 1, 0) == 1;
}

/* @param flag RESET_SENT or RESET_RECEIVED: what it turned out to be */
static __always_inline void undecided__send_record(struct undecided *u, __u32 flag)
{
	struct frame_connection *r = &u->record.connection;
	__u32 last = r->event_count;

	r->flags |= flag == RESET_SENT ? 1 << CONNECTION_RESET_SENT : 1 << CONNECTION_RESET_RECEIVED;
	if (last < CONNECTION_EVENTS) {
		u->record.events[last].time_ns = u->time_ns;
		u->record.events[last].segments = 0;
		u->record.events[last].kind = flag == RESET_SENT ? EVENT_RESET_SENT : EVENT_RESET_RECEIVED;
		u->record.events[last].state = u->state;
		u->record.events[last].recovery = u->recovery;
		r->event_count = last + 1;
	}
	if (bpf_ringbuf_output(&records, &u->record, sizeof(u->record), 0))
		loss__count(LOSS_RECORDS_FULL);
}

/* Nobody sent a RST for it: it came. */
static __always_inline void undecided__came(struct undecided *u)
{
	struct edge_value *edge;

	if (__sync_val_compare_and_swap(&u->is_held, 1, 0) != 1)
		return;
	edge = edge__enter(&u->key, EDGE_MISS_OVERFLOWS);
	if (edge) {
		edge__add(edge->growth.reset_received, 1);
		edge__touch(edge, u->time_ns);
		edge__leave(edge);
	}
	if (undecided__take_record(u))
		undecided__send_record(u, RESET_RECEIVED);
}

static __always_inline void undecided__hold(struct connection *c, struct sock *sk, struct tcp_sock *tp, __u64 now)
{
	struct undecided *u = bpf_map_lookup_elem(&undecideds, &zero);

	if (!u)
		return;
	undecided__came(u);
	u->socket = (__u64)sk;
	u->key = c->key;
	u->time_ns = now;
	u->state = sk->__sk_common.skc_state;
	u->recovery = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);
	u->has_record = 0;
	__sync_lock_test_and_set(&u->is_held, 1);
}

/* This end sent a RST: if that of the socket was held, none came. */
static __always_inline void undecided__was_sent(struct sock *sk)
{
	struct undecided *u = bpf_map_lookup_elem(&undecideds, &zero);

	if (!u || u->socket != (__u64)sk || __sync_val_compare_and_swap(&u->is_held, 1, 0) != 1)
		return;
	if (undecided__take_record(u))
		undecided__send_record(u, RESET_SENT);
}

/* Keeps the record of a close for whoever decides. @return false: it was decided already, a RST came */
static __always_inline bool undecided__keep_record(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
						   const struct stretch *before, struct settings *s,
						   const struct choice *choice, __u64 now)
{
	struct undecided *u = bpf_map_lookup_elem(&undecideds, &zero);
	struct trouble *t = bpf_sk_storage_get(&troubles, sk, 0, 0);
	struct frame_connection *r;

	if (!u || u->socket != (__u64)sk || !u->is_held)
		return false;
	r = &u->record.connection;
	record__fill(r, c, sk, tp, s);
	r->state = from;
	r->stretch = before ? before->number : 0;
	__builtin_memcpy(r->trace_id, choice->id, sizeof(r->trace_id));
	r->sample_threshold = choice->threshold;
	r->kept = choice->kept;
	r->end_ns = now;
	if (t) {
		r->event_count = t->count < CONNECTION_EVENTS ? t->count : CONNECTION_EVENTS;
		__builtin_memcpy(u->record.events, t->events, sizeof(u->record.events));
	}
	__sync_lock_test_and_set(&u->has_record, 1);
	/* Decided while it was filled, by someone who found no record yet: then it is still here. */
	return *(volatile __u32 *)&u->is_held || !undecided__take_record(u);
}

static long undecided__came_on_cpu(__u32 cpu, void *unused)
{
	struct undecided *u = bpf_map_lookup_percpu_elem(&undecideds, &zero, cpu);

	(void)unused;
	if (!u)
		return 1;
	undecided__came(u);
	return 0;
}

#define CPUS_MAX 8192

/* Once a walk. One that is decided meanwhile is whoever's comes first. */
static __always_inline void undecided__came_all(void)
{
	bpf_loop(CPUS_MAX, undecided__came_on_cpu, NULL, 0);
}

#endif
