/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the hooks do when a socket connects, opens or listens. */
#ifndef TCP_OPEN_H
#define TCP_OPEN_H

#include "common/cgroups.h"
#include "common/edge_keys.h"
#include "common/edges.h"
#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/bypass.h"
#include "tcp/connection.h"
#include "tcp/counters.h"
#include "tcp/listen_owners.h"
#include "tcp/listening.h"
#include "tcp/record.h"
#include "tcp/round_trips.h"
#include "tcp/socket_shares.h"

/* By address, the process that on_child() noted lies where the child had no cookie yet. */
static __always_inline void connection__take_birth(struct connection *c, struct sock *sk)
{
	struct socket_key unborn = { .address = (__u64)sk };
	struct connection *birth = bpf_map_lookup_elem(&connections_by_address, &unborn);

	if (!birth || birth->start_ns)
		return;
	c->pid = birth->pid;
	__builtin_memcpy(c->comm, birth->comm, sizeof(c->comm));
	connection__remove(&unborn);
}

/*
 * @param is_last nobody tries again when there is no memory: then it is a loss
 * @return the socket's storage, all zero but for its key and start; NULL where its cgroup is not counted or without memory
 */
static __always_inline struct connection *connection__start(struct sock *sk, struct settings *s, __u8 role,
							    bool is_last)
{
	__u64 cgroup = cgroup__of_socket(sk);
	struct connection *c;
	__u32 former;
	bool is_reused;

	if (!cgroup)
		return NULL;
	c = connection__make(sk, cgroup);
	if (!c) {
		if (is_last)
			loss__count(LOSS_STORAGE_FAILED);
		return NULL;
	}
	if (!c->start_ns || c->flags & CLOSED)
		socket_total__add(SOCKETS_TRACKED);
	is_reused = c->start_ns;
	former = c->flags & (LISTENS | LISTENED) ? REUSED | LISTENED : REUSED;
	if (is_reused)
		connection__forget(c, sk);
	if (sockets_by_address && !is_reused && sk->__sk_common.skc_cookie.counter)
		connection__take_birth(c, sk);
	c->key.cgroup = cgroup;
	c->key.role = role;
	key__from_sock(&c->key, &sk->__sk_common, IPPROTO_TCP);
	c->start_ns = bpf_ktime_get_boot_ns();
	if (is_reused)
		__sync_fetch_and_or(&c->flags, former);
	return c;
}

/* Sets the counters so that only growth from now on counts: a socket may be reused, or older than us. */
static __always_inline void connection__count_from_now(struct connection *c, struct tcp_sock *tp)
{
	struct tcp_counters b;

	tcp_counters__read(&b, tp, false, c);
	/* Also where the socket is locked: too much here comes short later, nothing here would be all of its past. */
	tcp_counters__read_chronograph(&b, tp);
	c->bytes_sent = b.bytes_sent;
	c->bytes_received = b.bytes_received;
	c->segs_out = b.segs_out;
	c->segs_in = b.segs_in;
	c->retransmits = tp->total_retrans;
	c->spurious = b.spurious;
	c->out_of_order = b.out_of_order;
	c->delivered = b.delivered;
	c->busy = b.busy;
	c->rwnd_limited = b.rwnd_limited;
	c->sndbuf_limited = b.sndbuf_limited;
}

static __always_inline void connection__note_opener(struct connection *c)
{
	c->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(c->comm, sizeof(c->comm));
}

/*
 * tcp_disconnect() clears every counter of the socket but the times that it was busy, and lets the last of them run
 * on where data was in its queue. A listener's go to all the sockets that it accepts.
 */
static __always_inline void connection__note_former(struct connection *c, struct tcp_sock *tp)
{
	struct tcp_counters b;

	tcp_counters__read_chronograph(&b, tp);
	c->busy = c->former_busy = b.busy;
	c->rwnd_limited = c->former_rwnd_limited = b.rwnd_limited;
	c->sndbuf_limited = c->former_sndbuf_limited = b.sndbuf_limited;
}

/* Whether it may have been busy before its handshake was complete: by data on the SYN, or an answer to that. */
static __always_inline bool was_opened_fast(struct tcp_sock *tp)
{
	if (BPF_CORE_READ_BITFIELD(tp, syn_data))
		return true;
	return bpf_core_field_exists(tp->syn_fastopen_child) && BPF_CORE_READ_BITFIELD(tp, syn_fastopen_child);
}

static __always_inline void on_connect(struct sock *sk, struct settings *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	bool is_repair;
	struct connection *c;

	if (!tp)
		return;
	socket__identify(sk);
	is_repair = BPF_CORE_READ_BITFIELD(tp, repair);
	c = connection__start(sk, s, is_repair && is_listened(sk) ? ROLE_SERVER : ROLE_CLIENT, false);
	if (!c)
		return;
	connection__note_opener(c);
	c->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	c->client_isn = sk->sk_txhash;
	connection__count_from_now(c, tp);
	connection__note_former(c, tp);
	if (is_repair)
		__sync_fetch_and_or(&c->flags, RESTORED);
}

/* Not inlined: few connections come to it. */
static __noinline void connection__report_syns(struct connection *c, __u32 total_retrans)
{
	struct edge_value *edge = edge__enter(&c->key, EDGE_MISS_DEFERS);

	if (!edge)
		return; /* the next count of this socket takes them as `other` */
	connection__count_unreported_syns(c, edge, total_retrans);
	edge__touch(edge, bpf_ktime_get_boot_ns());
	edge__leave(edge);
}

/*
 * Adds itself to no edge: the walk or the close counts it as opened, whichever comes first, before any exchange ends.
 */
static __always_inline void on_established(struct sock *sk, int from, struct settings *s, bool is_last)
{
	struct connection *c = connection__of(sk);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 now;

	if (!tp)
		return;
	socket__identify(sk);
	if (from == TCP_SYN_RECV) {
		/* Also a listener's socket that is used again, and a simultaneous open (RFC 9293 3.5), which has a client. */
		if (!c || c->key.role != ROLE_CLIENT || c->flags & ~SOCKET_FLAGS)
			c = connection__start(sk, s, ROLE_SERVER, is_last);
	} else if (!c) {
		c = connection__start(sk, s, ROLE_CLIENT, is_last); /* its SYN_SENT was skipped */
	}
	if (!c)
		return;
	now = bpf_ktime_get_boot_ns();
	c->established_ns = now;
	connection__note_pair(c, tp);
	if (!was_opened_fast(tp))
		connection__note_former(c, tp);
	if (c->flags & RESTORED) {
		key__collapse(&c->key, s);
		__sync_fetch_and_or(&c->flags, ADOPTED);
	} else if (c->key.role == ROLE_SERVER) {
		/* The child starts with its SYN-ACKs' (tcp_create_openreq_child); tcp_retransmit_synack counted those. */
		c->retransmits = tp->total_retrans;
		c->unreported_syns = tp->total_retrans;
		c->handshake_us = server_handshake_us(tp);
		key__collapse(&c->key, s);
	} else {
		c->handshake_us = (now - c->start_ns) / 1000;
		if (tp->total_retrans != c->retransmits)
			connection__report_syns(c, tp->total_retrans);
	}
	__sync_fetch_and_or(&c->flags, ESTABLISHED);
	if (is_in_sockmap(sk)) /* a program of the kernel's handshake (sock_ops) has put it there */
		connection__note_sockmap(c);
	/* Memory for a new edge may be short for a moment, and the close cannot wait: try now, too. */
	if (!bpf_map_lookup_elem(&edges, &c->key))
		edge__make(&c->key);
}

/*
 * A client's handshake that no program saw ending, found later: it counts as opened, without a time.
 * Only a socket that was seen connecting has a process.
 */
static __always_inline void connection__open_late(struct connection *c, struct tcp_sock *tp, __u64 now)
{
	if (c->flags & (ESTABLISHED | CLOSED | LISTENS) || c->key.role != ROLE_CLIENT || !c->pid)
		return;
	c->established_ns = now;
	connection__note_pair(c, tp);
	if (c->flags & RESTORED)
		__sync_fetch_and_or(&c->flags, ADOPTED | ESTABLISHED);
	else if (connection__claim(c, ESTABLISHED))
		loss__count(LOSS_HANDSHAKE_UNTIMED_DETAIL);
}

/*
 * @param sk    where its storage is
 * @param tcp   the listener itself, only read
 * @param owner who listens
 * @param is_last as connection__start() has it
 */
static __always_inline void on_listen(struct sock *sk, struct sock *tcp, struct listen_owner *owner, struct settings *s,
				      bool is_last)
{
	struct connection *c = connection__start(sk, s, ROLE_LISTENER, is_last);

	if (!c)
		return;
	c->pid = owner->pid;
	__builtin_memcpy(c->comm, owner->comm, sizeof(c->comm));
	c->drops = BPF_CORE_READ(tcp, sk_drops.counter);
	listener__note(tcp, owner, c->key.cgroup);
	__sync_fetch_and_or(&c->flags, LISTENS);
}

#endif
