/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What a record holds: a connection's storage and socket, as they are when it is made. */
#ifndef TCP_RECORD_H
#define TCP_RECORD_H

#include "common/edge_keys.h"
#include "common/maps.h"
#include "common/socket_storage.h"
#include "contract/connection_record.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/counters.h"
#include "tcp/round_trips.h"
#include "tcp/troubles.h"

/* As it lies in the ring buffer; the probe sends no more events than there are. */
struct record {
	struct frame_connection connection;
	struct connection_event events[CONNECTION_EVENTS];
};

/* What the interim records before have reported: the next one is the difference. */
struct interim {
	__u64 since_ns;
	__u32 number;
	__u32 reasons; /* enum sample_reason, a bit each: why any of them was kept, and so will the whole be */
	struct frame_connection reported;
};

/* What the last interim record of a long connection reported. Made and written by the walk, which tries again later. */
SOCKET_STORAGE(interims, struct interim);

/* Makes clang describe the records' types in BTF, which it leaves out otherwise. */
struct frame_connection *frame_connection_in_btf __attribute__((unused));
struct connection_event *connection_event_in_btf __attribute__((unused));

/* The socket is used again: nothing of its former connection stays. */
static __always_inline void connection__forget(struct connection *c, struct sock *sk)
{
	beside__delete(troubles, sk);
	beside__delete(interims, sk);
	/* First, and at once: the walk leaves a connection without flags alone while it is filled, and may unqueue it. */
	__sync_fetch_and_and(&c->flags, QUEUED);
	__builtin_memset(c, 0, __builtin_offsetof(struct connection, flags));
	__builtin_memset(&c->handshake_us, 0,
			 __builtin_offsetof(struct connection, tenant) -
				 __builtin_offsetof(struct connection, handshake_us));
	__builtin_memset(c->comm, 0, sizeof(c->comm));
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

/* The addresses themselves, where the edge has those of a prefix rule or of loopback. */
static __always_inline void record__unmask(struct edge_key *key, struct sock *sk)
{
	bool has_local = !address__is(key->local_addr, LOOPBACK_OTHERS);

	if (sk->__sk_common.skc_family == AF_INET) {
		address__from_v4(key->remote_addr, sk->__sk_common.skc_daddr);
		if (!has_local)
			address__from_v4(key->local_addr, sk->__sk_common.skc_rcv_saddr);
	} else {
		address__from_v6(key->remote_addr, &sk->__sk_common.skc_v6_daddr);
		if (!has_local)
			address__from_v6(key->local_addr, &sk->__sk_common.skc_v6_rcv_saddr);
	}
}

static __always_inline void record__fill(struct frame_connection *r, struct connection *c, struct sock *sk,
					 struct tcp_sock *tp, struct settings *s)
{
	struct trouble *t = beside__of(troubles, sk);
	__u32 flags = c->flags;

	r->key = c->key;
	record__unmask(&r->key, sk);
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

#endif
