/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the hooks do when a socket connects, opens, listens or closes; retransmit_reset.h has the rest.
 *
 * Everything here runs once in a connection's life, never per packet. Programs with their hooks are in
 * flowspan.bpf.c; these bodies are shared by a hook and its twin.
 */
#ifndef TCP_OPEN_CLOSE_H
#define TCP_OPEN_CLOSE_H

/* The socket is used again: nothing of its former connection stays. */
static __always_inline void connection__forget(struct connection *c, struct sock *sk)
{
	record__forget(sk);
	/* First: the walk leaves a connection without flags alone while it is filled. */
	*(volatile __u32 *)&c->flags = 0;
	__builtin_memset(c, 0, sizeof(*c));
}

/* @return the socket's storage, all zero but for its key and start; NULL where its cgroup is not counted or without memory */
static __always_inline struct connection *connection__start(struct sock *sk, struct settings *s, __u8 role)
{
	__u64 cgroup = cgroup__of_socket(sk, s);
	struct connection *c;
	bool is_reused;

	if (!cgroup)
		return NULL;
	c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c) {
		loss__count(LOSS_STORAGE_FAILED);
		return NULL;
	}
	if (!c->start_ns || c->flags & CLOSED)
		socket_total__add(SOCKETS_TRACKED);
	is_reused = c->start_ns;
	if (is_reused)
		connection__forget(c, sk);
	c->key.cgroup = cgroup;
	c->key.role = role;
	key__from_sock(&c->key, &sk->__sk_common);
	c->start_ns = bpf_ktime_get_boot_ns();
	if (is_reused)
		__sync_fetch_and_or(&c->flags, REUSED);
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
	is_repair = BPF_CORE_READ_BITFIELD(tp, repair);
	c = connection__start(sk, s, is_repair && is_listened(sk) ? ROLE_SERVER : ROLE_CLIENT);
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
static __always_inline void on_established(struct sock *sk, int from, struct settings *s)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 now;

	if (!tp)
		return;
	if (from == TCP_SYN_RECV) {
		/* Also a listener's socket that is used again, and a simultaneous open (RFC 9293 3.5), which has a client. */
		if (!c || c->key.role != ROLE_CLIENT || c->flags & ~REUSED)
			c = connection__start(sk, s, ROLE_SERVER);
	} else if (!c) {
		c = connection__start(sk, s, ROLE_CLIENT); /* its SYN_SENT was skipped */
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
 */
static __always_inline void on_listen(struct sock *sk, struct sock *tcp, struct listen_owner *owner, struct settings *s)
{
	struct connection *c = connection__start(sk, s, ROLE_LISTENER);

	if (!c)
		return;
	c->pid = owner->pid;
	__builtin_memcpy(c->comm, owner->comm, sizeof(c->comm));
	c->drops = BPF_CORE_READ(tcp, sk_drops.counter);
	owner->where.netns = c->key.netns;
	owner->where.port = c->key.server_port;
	listener__note(tcp, owner);
	__sync_fetch_and_or(&c->flags, LISTENS);
}

/* Adds what a listener has dropped since it was last counted. @return how much */
static __always_inline __u32 count_drops(struct connection *c, struct edge_value *edge, struct sock *sk)
{
	__u32 grown = advance32(&c->drops, sk->sk_drops.counter);

	if (grown)
		edge__add(edge->growth.listener_drops, grown);
	return grown;
}

static __always_inline void count_last(struct connection *c, struct edge_value *edge, struct tcp_sock *tp, __u64 now,
				       struct settings *s)
{
	struct tcp_counters b;
	bool measured;

	tcp_counters__read(&b, tp, true, c);
	connection__count_opened(c, edge);
	connection__count(c, edge, &b, s, &measured);
	if (measured && newest_rtt_us(tp))
		edge__observe(edge, rtt, RTT, newest_rtt_us(tp));
	if (BPF_CORE_READ_BITFIELD(tp, repair)) {
		__sync_fetch_and_or(&c->flags, CHECKPOINTED); /* it goes on, on another socket */
		return;
	}
	edge__add(edge->growth.closed, 1);
	if (!(c->flags & ADOPTED))
		edge__observe(edge, duration, DURATION, (now - c->established_ns) / 1000);
}

static __always_inline void on_close(struct sock *sk, int from, struct settings *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct edge_value *edge;
	struct connection *c;
	__u64 now;

	if (!tp)
		return;
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (!c || !c->start_ns) {
		if (from == TCP_LISTEN)
			listener__forget(sk); /* an older MPTCP socket's, which has the storage */
		else if (from != TCP_SYN_RECV && cgroup__of_socket(sk, s) && !mptcp__forget_first(sk))
			loss__count(LOSS_CLOSED_UNTRACKED);
		return;
	}
	now = bpf_ktime_get_boot_ns();
	if (from != TCP_SYN_SENT && from != TCP_SYN_RECV)
		connection__open_late(c, tp, now);
	if (!connection__claim(c, CLOSED))
		return;
	socket_total__add(SOCKETS_CLOSED);
	edge = edge__enter(&c->key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return; /* cannot be: an array always has its entry */
	if (c->flags & LISTENS) {
		count_drops(c, edge, sk);
		listener__forget(sk);
	} else {
		if (c->flags & ESTABLISHED)
			count_last(c, edge, tp, now, s);
		else
			count_attempt(c, edge, tp, s);
		if (s->asked.records && !(c->flags & NO_ATTEMPT))
			record__send(c, sk, tp, from, now, s);
	}
	edge__touch(edge, now);
	edge__leave(edge);
}

/*
 * A subflow that ended before its MPTCP socket may have been disconnected: tcp_disconnect() has set its counters to 0.
 * An open connection has segments.
 */
static __always_inline bool subflow_was_cleared(struct connection *c, struct tcp_sock *tp)
{
	return (__s32)(tp->segs_in - c->segs_in) < 0;
}

/* An older MPTCP socket closes, and its first subflow with it. That one is read while others may work on it. */
static __always_inline void on_close_mptcp(struct sock *sk, int from, struct settings *s)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct tcp_sock *tp = mptcp__first(sk);
	struct edge_value *edge;
	struct tcp_counters b;
	bool measured;
	__u64 now;

	if (!c || !connection__claim(c, CLOSED))
		return;
	socket_total__add(SOCKETS_CLOSED);
	now = bpf_ktime_get_boot_ns();
	edge = edge__enter(&c->key, EDGE_MISS_OVERFLOWS);
	if (!edge)
		return; /* cannot be: an array always has its entry */
	if (c->flags & LISTENS) {
		if (tp)
			count_drops(c, edge, &tp->inet_conn.icsk_inet.sk);
	} else {
		edge__add(edge->growth.closed, 1);
		if (!tp || subflow_was_cleared(c, tp)) {
			loss__count(LOSS_CLOSE_MISSED); /* what it counted since the last walk */
		} else {
			tcp_counters__read(&b, tp, false, c);
			connection__count(c, edge, &b, s, &measured);
		}
		if (tp && s->asked.records)
			record__send(c, sk, tp, from, now, s);
	}
	edge__touch(edge, now);
	edge__leave(edge);
}

/* Most state changes mean nothing to us: asked before anything else is looked at. */
static __always_inline bool state_matters(int to)
{
	return to == TCP_ESTABLISHED || to == TCP_CLOSE || to == TCP_SYN_SENT || to == TCP_LISTEN;
}

/* A child is born; the twin has nothing to do with it: one that is missed has no process. */
static __always_inline bool state_is_birth(int from, int to)
{
	return from == TCP_LISTEN && to == TCP_SYN_RECV;
}

/*
 * Whether the socket's storage shows that this change was handled, so that the twin has nothing to do. Inlined, the
 * verifier of 6.1 goes through on_state() once for each of its ways out.
 */
static __noinline bool state_is_noted(struct sock *sk, int to)
{
	struct connection *c;

	if (sk->sk_protocol != IPPROTO_TCP)
		return true;
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (to == TCP_CLOSE)
		return !c || !c->start_ns ||
		       (c->flags & CLOSED); /* without storage the first one counted it as unseen */
	if (!c || !c->start_ns || (c->flags & CLOSED))
		return false; /* closed: the socket is used again */
	if (to == TCP_ESTABLISHED)
		return c->flags & ESTABLISHED;
	if (to == TCP_LISTEN)
		return c->flags & LISTENS;
	return true; /* SYN_SENT: its storage is there */
}

static __always_inline void on_listen_now(struct sock *sk, struct settings *s)
{
	struct listen_owner owner = { .pid = bpf_get_current_pid_tgid() >> 32 };

	bpf_get_current_comm(owner.comm, sizeof(owner.comm));
	on_listen(sk, sk, &owner, s);
}

static __always_inline void on_state(struct sock *sk, int from, int to, struct settings *s)
{
	if (sk->sk_protocol == IPPROTO_MPTCP && to == TCP_CLOSE)
		on_close_mptcp(sk, from, s);
	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	if (to == TCP_ESTABLISHED)
		on_established(sk, from, s);
	else if (to == TCP_CLOSE)
		on_close(sk, from, s);
	else if (to == TCP_SYN_SENT)
		on_connect(sk, s);
	else if (to == TCP_SYN_RECV)
		on_child(sk, s);
	else
		on_listen_now(sk, s);
}

#endif
