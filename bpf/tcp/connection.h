/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One socket's storage: who its connection is, and which values of its counters were counted last. */
#ifndef TCP_CONNECTION_H
#define TCP_CONNECTION_H

#include "common/maps.h"
#include "common/socket_storage.h"
#include "contract/edge.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"

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
	LISTENED = 1 << 16,     /* the socket was a listener before */
	QUEUED = 1 << 17,       /* by address: it has closed once, and waits until it is gone: see closed.h */
};

/* Written by the hooks and the walk as common/advance.h says; `key` never changes once ESTABLISHED. */
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
	__u32 tenant;          /* by address: one more than its place in socket_tenants[]; a new life leaves it */
	char comm[16];
};

/* Up to here its storage fits into an object of 256 bytes, with the kernel's 72 (struct bpf_local_storage_elem). */
_Static_assert(sizeof(struct connection) <= 184, "a socket's storage takes twice the memory");

/*
 * What we know of one socket. Written by the hooks and the walk, read by the same. Without memory, or by address without
 * room or beyond its tenant's share (socket_shares.h), LOSS_STORAGE_FAILED counts.
 */
SOCKET_STORAGE(connections, struct connection);

/* @return where it lies by address: a socket that got its cookie since is found without; NULL: nothing is known of it */
static __always_inline struct connection *connection__find(struct socket_key *key, struct sock *sk)
{
	struct connection *c;

	socket_key__of(key, sk);
	c = bpf_map_lookup_elem(&connections_by_address, key);
	if (c || !key->cookie)
		return c;
	key->cookie = 0;
	return bpf_map_lookup_elem(&connections_by_address, key);
}

static __always_inline struct connection *connection__of(struct sock *sk)
{
	struct socket_key key;

	return sockets_by_address ? connection__find(&key, sk) : bpf_sk_storage_get(&connections, sk, 0, 0);
}

/* What is kept beside a connection, by address under its key: of a socket that is known. */
#define beside__of(name, sk) beside__look_up(&name, &name##_by_address, (sk), false)
/* NULL also without memory or room. */
#define beside__make(name, sk) beside__look_up(&name, &name##_by_address, (sk), true)
#define beside__delete(name, sk) beside__remove(&name, &name##_by_address, (sk))

static __always_inline void *beside__look_up(void *in_socket, void *by_address, struct sock *sk, bool make)
{
	struct socket_key key;
	void *value;

	if (!sockets_by_address)
		return bpf_sk_storage_get(in_socket, sk, 0, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!connection__find(&key, sk))
		return NULL;
	value = bpf_map_lookup_elem(by_address, &key);
	if (value || !make)
		return value;
	bpf_map_update_elem(by_address, &key, nothing, BPF_NOEXIST); /* another CPU may be first */
	return bpf_map_lookup_elem(by_address, &key);
}

static __always_inline void beside__remove(void *in_socket, void *by_address, struct sock *sk)
{
	struct socket_key key;

	if (!sockets_by_address)
		bpf_sk_storage_delete(in_socket, sk);
	else if (connection__find(&key, sk))
		bpf_map_delete_elem(by_address, &key);
}

/* What is of the socket, and not of one of its connections. */
#define SOCKET_FLAGS (REUSED | LISTENED | QUEUED)

/* @return the flags of `wanted` that this caller was the first to set */
static __always_inline __u32 connection__claim(struct connection *c, __u32 wanted)
{
	return wanted & ~__sync_fetch_and_or(&c->flags, wanted);
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
