/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Resets of which nobody can tell yet who sent them.
 *
 * Data for a socket that was closed, or shut down for reading, ends it as a RST would: tcp_rcv_state_process() calls
 * tcp_reset() for it in FIN_WAIT1 and FIN_WAIT2 (TCPAbortOnData), and with that runs the tracepoint of a RST that came,
 * though none did: tcp_v4_do_rcv() and tcp_v6_do_rcv() send one when it returns. The tracepoint has no segment, and
 * no field of the socket tells the two apart for sure. What follows does: tcp_send_reset of the same socket, or nothing.
 *
 *   tcp_receive_reset ──► held ──► close: its record is held, too ──► tcp_send_reset of that socket: we sent it
 *                                                                  └─► its lock is free: it came
 *
 * All of it is one segment's way under the socket's lock: in tcp_v4_rcv(), or from the backlog, where it may be
 * preempted and go on on another CPU. So what is held is found by the socket, and is decided by nobody else while the
 * lock is taken. It lies in no storage, since a closed socket that no file leads to is gone when its lock is free.
 * Not told apart: data after the peer's own FIN (CLOSE_WAIT, CLOSING, LAST_ACK), which no TCP sends.
 */
#ifndef TCP_UNDECIDED_H
#define TCP_UNDECIDED_H

#include "common/edges.h"
#include "common/maps.h"
#include "common/socket_lock.h"
#include "contract/connection_record.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/sampling.h"
#include "tcp/troubles.h"

/* A reset that came or is about to be sent, and the record of the close in between. */
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

#define UNDECIDED_MAX 64

struct {
	/*
	 * Resets of which nobody can tell yet who sent them: see undecided.h. Full only where so many are worked on at this
	 * moment: LOSS_RESET_UNDECIDED.
	 */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UNDECIDED_MAX);
	__type(key, __u32);
	__type(value, struct undecided);
} undecideds SEC(".maps");

#define RCV_SHUTDOWN 1
/* Where a socket's may lie: from the place of its hash on, which it keeps when it closes. */
#define UNDECIDED_PLACES 8
/* So long no segment is on its way: the lock is another's by now, or has a shape that we do not know. */
#define UNDECIDED_NS 10000000000ULL

/* In the low bits of a phase; the rest of it is a number of its own for each that was held. */
enum undecided_phase {
	UNDECIDED_FREE,
	UNDECIDED_HELD,
	UNDECIDED_TAKEN, /* somebody fills or decides it */
	UNDECIDED_PHASES,
};

/*
 * The kernel's answers to strays carry no timestamp. So what came without one is a RST, where both ends agreed on them:
 * all else then has one (RFC 7323, 3.2).
 */
static __always_inline bool reset__is_undecided(struct sock *sk, struct tcp_sock *tp)
{
	__u8 state = sk->__sk_common.skc_state;

	if ((state != TCP_FIN_WAIT1 && state != TCP_FIN_WAIT2) || !(sk->sk_shutdown & RCV_SHUTDOWN))
		return false;
	return !BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok) || BPF_CORE_READ_BITFIELD(tp, rx_opt.saw_tstamp);
}

/* One socket, for functions that the verifier looks at by themselves and not for each caller: they take no socket. */
struct undecided_socket {
	__u64 address;
	__u32 hash;
	__u32 zero;
};

static __always_inline struct undecided_socket undecided__socket(struct sock *sk)
{
	return (struct undecided_socket){ .address = (__u64)sk, .hash = sk->__sk_common.skc_hash };
}

/* @param phase as it was read, before what made the caller want it */
static __always_inline bool undecided__take(struct undecided *u, __u32 phase)
{
	__u32 taken = (phase & ~UNDECIDED_PHASES) | UNDECIDED_TAKEN;

	return __sync_val_compare_and_swap(&u->phase, phase, taken) == phase;
}

static __always_inline void undecided__hold_on(struct undecided *u)
{
	__sync_fetch_and_add(&u->phase, UNDECIDED_HELD - UNDECIDED_TAKEN);
}

static __always_inline void undecided__free(struct undecided *u)
{
	__sync_fetch_and_add(&u->phase, UNDECIDED_PHASES + 1 - UNDECIDED_TAKEN);
}

/* @return the place of what is held of the socket, taken; -1: nothing */
__noinline int undecided__find(struct undecided_socket *of)
{
	__u32 i;

	for (i = 0; i < UNDECIDED_PLACES && of; i++) {
		__u32 place = (of->hash + i) % UNDECIDED_MAX;
		struct undecided *u = bpf_map_lookup_elem(&undecideds, &place);
		__u32 phase = u ? *(volatile __u32 *)&u->phase : UNDECIDED_FREE;

		if ((phase & UNDECIDED_PHASES) == UNDECIDED_HELD && u->socket == of->address &&
		    undecided__take(u, phase))
			return place;
	}
	return -1;
}

static __always_inline struct undecided *undecided__take_of(struct sock *sk)
{
	struct undecided_socket of = undecided__socket(sk);
	__u32 place = undecided__find(&of);

	return bpf_map_lookup_elem(&undecideds, &place);
}

/*
 * Whether its segment may still be worked on. The socket may be gone: what lies there is then free, or another's, with
 * another hash, and what looks like a lock may stay taken for good.
 */
static __always_inline bool undecided__is_under_way(struct undecided *u, __u64 now)
{
	struct sock *sk = (struct sock *)u->socket;

	if (now > u->time_ns + UNDECIDED_NS)
		return false;
	if (!lock__is_known(sk))
		return true;
	if (BPF_CORE_READ(sk, __sk_common.skc_hash) != u->hash)
		return false;
	return BPF_CORE_READ(sk, sk_lock.owned) || BPF_CORE_READ(sk, sk_lock.slock.rlock.raw_lock.val.counter);
}

/* @param flag RESET_SENT, RESET_RECEIVED or 0: what it turned out to be */
static __always_inline void undecided__send_record(struct undecided *u, __u32 flag)
{
	struct frame_connection *r = &u->record.connection;
	__u32 last = r->event_count;

	if (!u->has_record)
		return;
	if (flag)
		r->flags |= flag == RESET_SENT ? 1 << CONNECTION_RESET_SENT : 1 << CONNECTION_RESET_RECEIVED;
	if (flag && last < CONNECTION_EVENTS) {
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

/*
 * Decides what is held at `place` where it shows that nobody sent a RST for it: one came, or there was none.
 *
 * @param is_over whether that is known: its socket has another one
 */
__noinline int undecided__pass(__u32 place, bool is_over, __u64 now)
{
	struct undecided *u = bpf_map_lookup_elem(&undecideds, &place);
	struct edge_value *edge;
	__u32 phase;

	if (!u)
		return 0;
	phase = *(volatile __u32 *)&u->phase;
	if ((phase & UNDECIDED_PHASES) != UNDECIDED_HELD || (!is_over && undecided__is_under_way(u, now)) ||
	    !undecided__take(u, phase))
		return 0;
	edge = u->otherwise ? edge__enter(&u->key, EDGE_MISS_OVERFLOWS) : NULL;
	if (edge) {
		edge__add(edge->growth.reset_received, 1);
		edge__touch(edge, now); /* what is added now belongs to this interval, whenever it happened */
		edge__leave(edge);
	}
	undecided__send_record(u, u->otherwise);
	undecided__free(u);
	return 0;
}

/* @return a place for the socket's, taken; -1: others are held on all of its places, and worked on at this moment */
__noinline int undecided__make(struct undecided_socket *of, __u64 now)
{
	int made = -1;
	__u32 i;

	for (i = 0; i < UNDECIDED_PLACES && of; i++) {
		__u32 place = (of->hash + i) % UNDECIDED_MAX;
		struct undecided *u = bpf_map_lookup_elem(&undecideds, &place);
		__u32 phase;

		if (!u)
			continue;
		undecided__pass(place, u->socket == of->address, now);
		phase = *(volatile __u32 *)&u->phase;
		if (made < 0 && (phase & UNDECIDED_PHASES) == UNDECIDED_FREE && undecided__take(u, phase))
			made = place;
	}
	return made;
}

/*
 * @param otherwise what it is where no RST is sent: RESET_RECEIVED, or 0
 * @return false: there is no place for it
 */
static __always_inline bool undecided__hold(struct connection *c, struct sock *sk, struct tcp_sock *tp, __u32 otherwise,
					    __u64 now)
{
	struct undecided_socket of = undecided__socket(sk);
	__u32 place = undecided__make(&of, now);
	struct undecided *u = bpf_map_lookup_elem(&undecideds, &place);

	if (!u) {
		loss__count(LOSS_RESET_UNDECIDED);
		return false;
	}
	u->socket = (__u64)sk;
	u->hash = sk->__sk_common.skc_hash;
	u->key = c->key;
	u->time_ns = now;
	u->state = sk->__sk_common.skc_state;
	u->recovery = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);
	u->otherwise = otherwise;
	u->has_record = 0;
	undecided__hold_on(u);
	return true;
}

/* This end sent a RST: if that of the socket was held, none came. */
static __always_inline void undecided__was_sent(struct sock *sk)
{
	struct undecided *u = undecided__take_of(sk);

	if (!u)
		return;
	undecided__send_record(u, RESET_SENT);
	undecided__free(u);
}

/* Keeps the record of a close for whoever decides. @return false: nothing is held of the socket, a RST came */
static __always_inline bool undecided__keep_record(struct connection *c, struct sock *sk, struct tcp_sock *tp, int from,
						   const struct interim *before, struct settings *s,
						   const struct sampling_decision *decision, __u64 now)
{
	struct undecided *u = undecided__take_of(sk);
	struct trouble *t = beside__of(troubles, sk);
	struct frame_connection *r;

	if (!u)
		return false;
	r = &u->record.connection;
	record__fill(r, c, sk, tp, s);
	r->state = from;
	r->interims = before ? before->number : 0;
	__builtin_memcpy(r->trace_id, decision->id, sizeof(r->trace_id));
	r->sample_threshold = decision->threshold;
	r->kept = decision->reasons;
	r->end_ns = now;
	if (t) {
		r->event_count = t->count < CONNECTION_EVENTS ? t->count : CONNECTION_EVENTS;
		__builtin_memcpy(u->record.events, t->events, sizeof(u->record.events));
	}
	u->has_record = 1;
	undecided__hold_on(u);
	return true;
}

static long undecided__pass_at(__u32 place, void *unused)
{
	(void)unused;
	undecided__pass(place, false, bpf_ktime_get_boot_ns());
	return 0;
}

/* Once a walk: of what is held, all that is worked on no more. */
static __always_inline void undecided__pass_all(void)
{
	bpf_loop(UNDECIDED_MAX, undecided__pass_at, NULL, 0);
}

#endif
