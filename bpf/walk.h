/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The walk and adoption: what is done to every socket at once, from iterators.
 *
 * The walk writes maps, never bpf_seq_write(): with output the iterator restarts for every buffer and
 * skips from its bucket's start, which grows with the square of the sockets.
 */
#ifndef FLOWSPAN_WALK_H
#define FLOWSPAN_WALK_H

/* Starts the edge's gauges anew at the first socket that this walk finds on it. */
static __always_inline void edge__begin_gauges(struct edge_value *edge, __u64 walk)
{
	if (edge->open_walk == walk)
		return;
	edge->open = 0;
	edge->limit = 0;
	edge->open_walk = walk;
}

static __always_inline void walk_listener(struct sock *sk, struct connection *c, struct state *st)
{
	struct edge_value *edge;
	struct edge_key key;

	if (!c->key.server_port)
		c->key.server_port = sk->__sk_common.skc_num; /* listen() without bind() gets its port after LISTEN */
	key = c->key; /* a copy: before 6.2 an iterator's buffer is no map key for the verifier */
	edge = edge__enter(&key, EDGE_MISS_DEFERS);
	if (!edge)
		return;
	edge__begin_gauges(edge, st->walk);
	edge->open += sk->sk_ack_backlog;
	edge->limit += sk->sk_max_ack_backlog;
	if (count_drops(c, edge, sk))
		edge__touch(edge, st->exchange_ns + 1);
	edge__leave(edge);
}

static __always_inline void walk_connection(struct sock *sk, struct connection *c, struct settings *s, struct state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	bool opened, grown, measured;
	struct edge_value *edge;
	struct edge_key key;
	struct books b;

	if (!tp)
		return;
	books__read(&b, tp, false, c);
	key = c->key; /* a copy: before 6.2 an iterator's buffer is no map key for the verifier */
	edge = edge__enter(&key, EDGE_MISS_DEFERS);
	if (!edge)
		return; /* the socket keeps its growth until the next walk */
	edge__begin_gauges(edge, st->walk);
	edge->open++;
	opened = connection__count_opened(c, edge);
	grown = connection__count(c, edge, &b, s, &measured);
	if (measured && newest_rtt_us(tp))
		edge__observe(edge, rtt, RTT, newest_rtt_us(tp));
	/* All that the walk finds happened after the last exchange; reading the clock for each socket would double its cost. */
	if (opened || grown)
		edge__touch(edge, st->exchange_ns + 1);
	edge__leave(edge);
	if (s->asked.records && !tp->snd_wnd)
		trouble__note_zero_window(sk, tp, st);
	if (s->asked.records && s->asked.stretch_ns)
		record__send_stretch(c, sk, tp, st, s);
}

/* The socket's state changes after its hook ran: established without our flag means that no program ran. */
static __always_inline void walk_connecting(struct sock *sk, struct connection *c, struct state *st)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u8 state = sk->__sk_common.skc_state;

	if (tp && state != TCP_SYN_SENT && state != TCP_SYN_RECV && state != TCP_CLOSE)
		connection__open_late(c, tp, st->exchange_ns + 1); /* the next walk or the close counts it */
}

static __always_inline void walk_socket(struct sock *sk, struct connection *c, struct settings *s)
{
	struct state *st = state__get();
	__u32 flags = c->flags;

	if (!st)
		return;
	st->sockets++;
	if (flags & CLOSED)
		return;
	st->live++;
	if (flags & LISTENS)
		walk_listener(sk, c, st);
	else if (flags & ESTABLISHED)
		walk_connection(sk, c, s, st);
	else
		walk_connecting(sk, c, st);
}

static __always_inline bool is_listened(struct sock *sk)
{
	struct listen_port where = {};

	where.netns = sk->__sk_common.skc_net.net->ns.inum;
	where.port = sk->__sk_common.skc_num;
	return bpf_map_lookup_elem(&listen_ports, &where) != NULL;
}

/*
 * Takes over a connection that is older than the probe: counted from now on, never in `opened`.
 * The kernel does not tell who opened it; whose local port is listened on is taken for the server.
 */
static __always_inline void adopt_connection(struct sock *sk, struct settings *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct state *st = state__get();
	struct connection *c;

	if (!tp || !st || bpf_sk_storage_get(&connections, sk, 0, 0))
		return;
	c = connection__start(sk, s, is_listened(sk) ? ROLE_SERVER : ROLE_CLIENT);
	if (!c)
		return;
	c->established_ns = c->start_ns;
	connection__note_pair(c, tp);
	key__collapse(&c->key, s);
	connection__count_from_now(c, tp);
	__sync_fetch_and_or(&c->flags, ESTABLISHED | ADOPTED);
	edge__add(st->adopted, 1);
}

#endif
