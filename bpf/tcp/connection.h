/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * One socket's storage, and how its counters' growth reaches its edge.
 *
 * The walk and the hooks may count one socket at once. Each counter keeps the value last counted and
 * moves it forward by compare-and-swap; only the winner adds the difference, so nothing is counted
 * twice and a read that was torn can only come short, which the next count makes good.
 */
#ifndef TCP_CONNECTION_H
#define TCP_CONNECTION_H

enum connection_state_flag {
	ESTABLISHED = 1 << 0,    /* the handshake was completed, or the socket was adopted */
	OPENED_COUNTED = 1 << 1, /* its edge's `opened` knows */
	CLOSED = 1 << 2,         /* its last count is done or under way */
	ADOPTED = 1 << 3,        /* older than the probe: counted from adoption on, not in `opened` */
	RESET_SENT = 1 << 4,
	RESET_RECEIVED = 1 << 5,
	LISTENS = 1 << 6,
	ABORTED = 1 << 7,       /* its RST follows the close: only records know, its edge learns from the RST */
	HAS_INTERIM = 1 << 8,   /* it has a struct interim: no close looks for one in vain */
	RESTORED = 1 << 9,      /* connected by TCP_REPAIR: what it was before, another socket counted */
	UNSENT = 1 << 10,       /* its connect() ended before a SYN was sent: see attempts.h */
	NO_ATTEMPT = 1 << 11,   /* nor was one meant to be: nothing to tell */
	CHECKPOINTED = 1 << 12, /* TCP_REPAIR took it off its socket */
	REUSED = 1 << 13,       /* the socket had another connection before */
	UNDECIDED = 1 << 14,    /* a RST came or is about to be sent: see undecided.h */
	IN_SOCKMAP = 1 << 15,   /* its data may have gone around TCP: see bypass.h */
};

/* Written by the hooks and the walk under the rule above; `key` never changes once ESTABLISHED. */
struct connection {
	struct edge_key key;
	__u64 start_ns;
	__u64 established_ns;
	__u64 bytes_sent; /* from here on: the socket's counters as they were last counted */
	__u64 bytes_received;
	__u32 segs_out;
	__u32 segs_in;
	__u32 retransmits;
	__u32 spurious;
	__u32 out_of_order;
	union {
		__u32 drops;     /* listeners */
		__u32 delivered; /* others */
	};
	__u32 busy; /* jiffies, as the next two */
	__u32 rwnd_limited;
	__u32 sndbuf_limited;
	__u32 flags;        /* enum connection_state_flag */
	__u32 handshake_us; /* waits here until it is counted as opened */
	__u32 client_isn; /* initial sequence numbers, from ESTABLISHED on: never leave the kernel. Before: sk_txhash */
	__u32 server_isn;
	__u32 data_segs_at_fin; /* tcp_sock.data_segs_in when its own FIN was sent */
	__u32 loss_high_seq;    /* of the last Loss that a timer began: tcp_sock.high_seq */
	__u32 former_busy; /* jiffies, as the next two: of connections that the socket had before, which it goes on counting */
	__u32 former_rwnd_limited;
	__u32 former_sndbuf_limited;
	__u32 pid;
	__u16 local_port;
	__u16 remote_port;
	__u16 error;           /* the last that was reported to the application */
	__u16 unreported_syns; /* sent again, reported by no event of this socket: a server's SYN-ACKs came before it */
	__u32 walked;          /* the last walk over files that came by; its number's low half */
	char comm[16];
};

/* Up to here its storage fits into an object of 256 bytes, with the kernel's 72 (struct bpf_local_storage_elem). */
_Static_assert(sizeof(struct connection) <= 184, "a socket's storage takes twice the memory");

/* A socket's own counters at one moment. */
struct tcp_counters {
	__u64 bytes_sent;
	__u64 bytes_received;
	__u32 segs_out;
	__u32 segs_in;
	__u32 retransmits;
	__u32 spurious;
	__u32 out_of_order;
	__u32 delivered;
	__u32 busy;
	__u32 rwnd_limited;
	__u32 sndbuf_limited;
};

#define CAS_ATTEMPTS 8

/* @return how far `*counted` moved to reach `now`: 0 when another CPU counted it, or it is no growth */
static __always_inline __u64 advance(__u64 *counted, __u64 now)
{
	int i;

	for (i = 0; i < CAS_ATTEMPTS; i++) {
		__u64 old = *(volatile __u64 *)counted;

		if (now <= old)
			return 0;
		if (__sync_val_compare_and_swap(counted, old, now) == old)
			return now - old;
	}
	loss__count(LOSS_COUNTER_CONTENDED);
	return 0;
}

/* The same for the kernel's 32-bit counters, which wrap. */
static __always_inline __u32 advance32(__u32 *counted, __u32 now)
{
	int i;

	for (i = 0; i < CAS_ATTEMPTS; i++) {
		__u32 old = *(volatile __u32 *)counted;

		if ((__s32)(now - old) <= 0)
			return 0;
		if (__sync_val_compare_and_swap(counted, old, now) == old)
			return now - old;
	}
	loss__count(LOSS_COUNTER_CONTENDED);
	return 0;
}

/* @return the flags of `wanted` that this caller was the first to set */
static __always_inline __u32 connection__claim(struct connection *c, __u32 wanted)
{
	return wanted & ~__sync_fetch_and_or(&c->flags, wanted);
}

/* Whether the kernel's spinlock has the shape that we know: not so on a real-time kernel. */
static __always_inline bool lock__is_known(struct sock *sk)
{
	return bpf_core_field_exists(sk->sk_lock.slock.rlock.raw_lock.val.counter);
}

/*
 * Whether someone works on the socket right now. Where the kernel's spinlock has another shape, we
 * say no: then a read may rarely be torn (see tcp_counters__read()).
 */
static __always_inline bool sock__is_locked(struct sock *sk)
{
	if (sk->sk_lock.owned)
		return true;
	return lock__is_known(sk) && sk->sk_lock.slock.rlock.raw_lock.val.counter != 0;
}

static __always_inline void tcp_counters__read_chronograph(struct tcp_counters *b, struct tcp_sock *tp)
{
	__u32 busy = tp->chrono_stat[TCP_CHRONO_BUSY - 1];
	__u32 rwnd = tp->chrono_stat[TCP_CHRONO_RWND_LIMITED - 1];
	__u32 sndbuf = tp->chrono_stat[TCP_CHRONO_SNDBUF_LIMITED - 1];
	__u8 type = BPF_CORE_READ_BITFIELD(tp, chrono_type);
	__u32 running = (__u32)bpf_jiffies64() - tp->chrono_start;

	if (type == TCP_CHRONO_BUSY)
		busy += running;
	else if (type == TCP_CHRONO_RWND_LIMITED)
		rwnd += running;
	else if (type == TCP_CHRONO_SNDBUF_LIMITED)
		sndbuf += running;
	/* As tcp_get_info_chrono_stats(): a sender that is limited is busy too. */
	b->busy = busy + rwnd + sndbuf;
	b->rwnd_limited = rwnd;
	b->sndbuf_limited = sndbuf;
}

/* Whether our FIN takes up a sequence number that was sent: it is queued last, so then all of it was sent. */
static __always_inline bool fin_was_sent(struct tcp_sock *tp)
{
	__u8 state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;

	return (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING || state == TCP_LAST_ACK) &&
	       tp->snd_nxt == tp->write_seq;
}

/*
 * Payload sent, by sequence number: what was acknowledged and what is in flight, less the SYN (the opener's
 * is acknowledged as a byte) and the FIN. Exact at rest. The obvious bytes_sent - bytes_retrans is not: what
 * the local stack refuses (an OUTPUT rule drops it) counts as sent and is sent again as new. Measured: 15 %
 * drops, 1,500,045 bytes written, 1,720,141 by the difference. It serves where this may be torn, because
 * bytes_acked and snd_una move one after the other.
 *
 * A restored socket sent no SYN, and what TCP_REPAIR puts into its queue another one has sent: there the smaller
 * of both.
 */
static __always_inline __u64 tcp_counters__bytes_sent(struct tcp_sock *tp, bool settled, const struct connection *c)
{
	__u64 sequence = tp->bytes_acked + (__u32)(tp->snd_nxt - tp->snd_una);
	bool is_restored = c->flags & RESTORED;
	__u64 control = (c->key.role == ROLE_CLIENT && !is_restored ? 1 : 0) + (fin_was_sent(tp) ? 1 : 0);
	__u64 sent = *(volatile __u64 *)&tp->bytes_sent;
	__u64 retrans = *(volatile __u64 *)&tp->bytes_retrans;
	__u64 payload = sequence > control ? sequence - control : 0;
	__u64 difference = sent > retrans ? sent - retrans : 0;

	return (settled && !is_restored) || payload < difference ? payload : difference;
}

/*
 * Reads the counters. `settled` says that nobody else works on the socket: true in the hooks, unknown
 * in the walk. There the kernel may be between two writes that belong together, so what could come out
 * too large is left out or held back by a byte; the next read takes it.
 *
 *  - bytes_received counts a FIN before SOCK_DONE says so: hold one byte back while the lock is held.
 *    The flag is read after the bytes and after the lock: a FIN in between comes out one too small.
 *  - tcp_chrono_set() adds the running period before it starts a new one: skip while the lock is held.
 *  - total_retrans grows before the hook that tells its type: leave it to the hook.
 */
static __always_inline void tcp_counters__read(struct tcp_counters *b, struct tcp_sock *tp, bool settled,
					       const struct connection *c)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u64 received = *(volatile __u64 *)&tp->bytes_received;
	bool locked = !settled && sock__is_locked(sk);

	b->bytes_sent = tcp_counters__bytes_sent(tp, settled, c);
	if (received && (locked || (sk->__sk_common.skc_flags & (1UL << SOCK_DONE))))
		received--;
	b->bytes_received = received;
	b->segs_out = tp->segs_out;
	b->segs_in = tp->segs_in;
	b->retransmits = locked ? 0 : tp->total_retrans;
	b->spurious = tp->dsack_dups;
	b->out_of_order = tp->rcv_ooopack;
	b->delivered = tp->delivered;
	if (locked)
		b->busy = b->rwnd_limited = b->sndbuf_limited = 0;
	else
		tcp_counters__read_chronograph(b, tp);
}

static __always_inline __u64 jiffies_to_us(__u32 jiffies, struct settings *s)
{
	__u32 hz = s->jiffies_per_s;

	return hz ? (__u64)jiffies * 1000000 / hz : 0;
}

#define count_growth32(edge, c, b, name, field)                 \
	do {                                                    \
		__u32 grown = advance32(&(c)->name, (b)->name); \
		if (grown)                                      \
			edge__add((edge)->growth.field, grown); \
	} while (0)

#define count_growth_jiffies(edge, c, b, name, s)                                     \
	do {                                                                          \
		__u32 grown = advance32(&(c)->name, (b)->name);                       \
		if (grown)                                                            \
			edge__add((edge)->growth.name##_us, jiffies_to_us(grown, s)); \
	} while (0)

/* Before ad892e912b84 no event tells of a resend that fails, as by a rule of OUTPUT. In a handshake it is a SYN. */
static __always_inline void connection__count_unreported_syns(struct connection *c, struct edge_value *edge,
							      __u32 total_retrans)
{
	__u32 grown = advance32(&c->retransmits, total_retrans);

	if (!grown)
		return;
	edge__add(edge->growth.retransmits_syn, grown);
	c->unreported_syns += grown;
}

/*
 * Adds what a socket has counted since it was last counted.
 *
 * @param measured whether segments of ours were acknowledged: then its newest RTT is of this time
 * @return whether segments came in or went out; nothing else grows without one
 */
static __always_inline bool connection__count(struct connection *c, struct edge_value *edge,
					      const struct tcp_counters *b, struct settings *s, bool *measured)
{
	__u32 segs_in = advance32(&c->segs_in, b->segs_in);
	__u32 segs_out = advance32(&c->segs_out, b->segs_out);
	__u64 grown;

	if (segs_in)
		edge__add(edge->growth.segs_in, segs_in);
	if (segs_out)
		edge__add(edge->growth.segs_out, segs_out);
	grown = advance(&c->bytes_sent, b->bytes_sent);
	if (grown)
		edge__add(edge->growth.bytes_sent, grown);
	grown = advance(&c->bytes_received, b->bytes_received);
	if (grown)
		edge__add(edge->growth.bytes_received, grown);
	count_growth32(edge, c, b, retransmits, retransmits_other);
	count_growth32(edge, c, b, spurious, spurious);
	count_growth32(edge, c, b, out_of_order, out_of_order);
	if (b->busy) {
		count_growth_jiffies(edge, c, b, busy, s);
		count_growth_jiffies(edge, c, b, rwnd_limited, s);
		count_growth_jiffies(edge, c, b, sndbuf_limited, s);
	}
	*measured = advance32(&c->delivered, b->delivered) != 0;
	return segs_in || segs_out;
}

/* Counts the handshake once: in the first walk after it, or in the close. @return whether it was now */
static __always_inline bool connection__count_opened(struct connection *c, struct edge_value *edge)
{
	__u32 flags = c->flags;

	if (!(flags & ESTABLISHED) || (flags & (OPENED_COUNTED | ADOPTED)))
		return false;
	if (!connection__claim(c, OPENED_COUNTED))
		return false;
	edge__add(edge->growth.opened, 1);
	if (c->handshake_us)
		edge__observe(edge, handshake, HANDSHAKE, c->handshake_us);
	return true;
}

static __always_inline void address__from_v4(__u8 *to, __be32 address)
{
	*(__u64 *)to = 0;
	*(__u32 *)(to + 8) = 0xffff0000; /* bytes 00 00 ff ff, little-endian */
	*(__be32 *)(to + 12) = address;
}

static __always_inline void address__from_v6(__u8 *to, const struct in6_addr *address)
{
	int i;

	for (i = 0; i < 4; i++)
		((__u32 *)to)[i] = address->in6_u.u6_addr32[i];
}

/* Fills all of a key but cgroup and role from a socket or request socket that is reached through `sc`. */
static __always_inline void key__from_sock(struct edge_key *key, struct sock_common *sc)
{
	key->protocol = IPPROTO_TCP;
	key->netns = sc->skc_net.net->ns.inum;
	if (sc->skc_family == AF_INET) {
		address__from_v4(key->local_addr, sc->skc_rcv_saddr);
		address__from_v4(key->remote_addr, sc->skc_daddr);
	} else {
		address__from_v6(key->local_addr, &sc->skc_v6_rcv_saddr);
		address__from_v6(key->remote_addr, &sc->skc_v6_daddr);
	}
	if (key->role == ROLE_LISTENER)
		__builtin_memset(key->remote_addr, 0, sizeof(key->remote_addr));
	key->server_port = key->role == ROLE_CLIENT ? bpf_ntohs(sc->skc_dport) : sc->skc_num;
}

/* Keeps the first bits of the remote address. Not static: the verifier looks at it once, and not for each caller. */
__noinline int key__mask(struct edge_key *key, __u32 prefix_length)
{
	__u32 i;

	if (!key)
		return -1;
	for (i = 0; i < 16; i++) {
		__u32 bits = prefix_length > i * 8 ? prefix_length - i * 8 : 0;

		if (bits < 8)
			key->remote_addr[i] &= (__u8)(0xff00 >> bits);
	}
	return 0;
}

/* Lets the addresses of a prefix rule share one edge: clients on the internet are unbounded. */
static __always_inline void key__collapse(struct edge_key *key, struct settings *s)
{
	struct prefix_rule_key lookup = { .prefix_length = 128 };
	struct prefix_rule_value *rule;

	if (!s->prefix_rules || key->role != ROLE_SERVER)
		return;
	__builtin_memcpy(lookup.addr, key->remote_addr, 16);
	rule = bpf_map_lookup_elem(&prefix_rules, &lookup);
	if (!rule || !(rule->flags & PREFIX_RULE_COLLAPSE))
		return;
	key__mask(key, rule->prefix_length);
}

/*
 * Ports and both initial sequence numbers, which the two ends of a connection know alike, NAT or not. Ours is
 * what was acknowledged before the first byte: an opener's SYN counts as
 * a byte acknowledged. A FIN that came is in both rcv_nxt and bytes_received.
 */
static __always_inline void connection__note_pair(struct connection *c, struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	bool is_client = c->key.role == ROLE_CLIENT;
	__u32 ours = tp->snd_una - (__u32)tp->bytes_acked - (is_client ? 0 : 1);
	__u32 theirs = tp->rcv_nxt - (__u32)tp->bytes_received - 1;

	c->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	c->local_port = sk->__sk_common.skc_num;
	c->client_isn = is_client ? ours : theirs;
	c->server_isn = is_client ? theirs : ours;
}

#endif
