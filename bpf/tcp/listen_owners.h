/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which listening socket a connection came to, exactly: also where several share a port, by address, by family, by
 * device or by SO_REUSEPORT.
 *
 *   listen ──► listeners[socket] = its process           close ──► gone
 *   LISTEN → SYN_RECV of a child ──► the listener it is a copy of ──► its process, into the child's storage
 */
#ifndef TCP_LISTEN_OWNERS_H
#define TCP_LISTEN_OWNERS_H

#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"

struct listen_port {
	__u32 netns;
	__u16 port;
	__u16 zero;
};

/* Who listens: the process that called listen(), and where. */
struct listen_owner {
	struct listen_port where;
	__u32 pid;
	__u32 zero;
	char comm[16];
};

struct {
	/*
	 * Who listens, by the address of the listening socket. Written when it listens or is adopted, read for records
	 * when a child is made, removed when it closes. Full: connections to the least recently used listener have no
	 * process, each LOSS_PROCESS_UNKNOWN_DETAIL.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct listen_owner);
} listeners SEC(".maps");

struct {
	/*
	 * How many listen on a port of a net namespace. Written as `listeners` is, read for connections that show their
	 * role in no other way: restored ones (TCP_REPAIR), and some that are adopted. Full: those of the least recently used
	 * ports go by what else is known, as if nobody listened there.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct listen_port);
	__type(value, __u32);
} listen_ports SEC(".maps");

/* How many listen on a port, whatever their address. */
static __always_inline void listen_port__add(const struct listen_port *where, int more)
{
	__u32 one = 1;
	__u32 *count;

	if (!where->port)
		return; /* listen() without bind(): its port comes later, and nobody restores connections of it */
	count = bpf_map_lookup_elem(&listen_ports, where);
	if (count)
		__sync_fetch_and_add(count, more);
	else if (more > 0)
		bpf_map_update_elem(&listen_ports, where, &one, BPF_NOEXIST);
	if (count && !*(volatile __u32 *)count)
		bpf_map_delete_elem(&listen_ports, where);
}

/* Whether somebody listens on the socket's local port: the last that shows a server's connection. */
static __always_inline bool is_listened(struct sock *sk)
{
	struct listen_port where = {};

	where.netns = sk->__sk_common.skc_net.net->ns.inum;
	where.port = sk->__sk_common.skc_num;
	return bpf_map_lookup_elem(&listen_ports, &where) != NULL;
}

static __always_inline void listener__note(struct sock *sk, const struct listen_owner *owner)
{
	__u64 socket = (__u64)sk;

	listen_port__add(&owner->where, 1);
	bpf_map_update_elem(&listeners, &socket, owner, BPF_ANY);
}

static __always_inline void listener__forget(struct sock *sk)
{
	__u64 socket = (__u64)sk;
	struct listen_owner *owner = bpf_map_lookup_elem(&listeners, &socket);
	struct listen_port where;

	if (!owner)
		return;
	where = owner->where;
	bpf_map_delete_elem(&listeners, &socket);
	listen_port__add(&where, -1);
}

/*
 * The kernel makes a child by copying its listener and reports its state while it is one (inet_csk_clone_lock());
 * tcp_create_openreq_child() makes its lists anew only afterwards. An empty list's head points at itself, so the
 * child's points into the listener. Where a kernel has another order, this is no listener's address.
 */
static __always_inline __u64 child__listener(struct tcp_sock *child)
{
	return (__u64)child->tsorted_sent_queue.next - bpf_core_field_offset(child->tsorted_sent_queue);
}

/*
 * A listener's socket was made: it has no addresses yet, but only now something tells whose it is. The storage that
 * is made here is the one that it would get when its handshake ends; without start_ns it stands for nothing.
 */
static __always_inline void on_child(struct sock *sk, struct settings *s)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct listen_owner *owner;
	struct connection *c;
	__u64 listener;

	if (!tp || !s->asked.records)
		return; /* only records name a process */
	listener = child__listener(tp);
	owner = bpf_map_lookup_elem(&listeners, &listener);
	if (!owner)
		return;
	c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c)
		return; /* the handshake's end tries again, and counts it; without a process, as its record does */
	c->pid = owner->pid;
	__builtin_memcpy(c->comm, owner->comm, sizeof(c->comm));
}

#endif
