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

#include "common/cgroups.h"
#include "common/maps.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/socket_shares.h"

/* Who listens: the process that called listen(). */
struct listen_owner {
	__u32 pid;
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

static __always_inline void listener__note(struct sock *sk, const struct listen_owner *owner)
{
	__u64 socket = (__u64)sk;

	bpf_map_update_elem(&listeners, &socket, owner, BPF_ANY);
}

static __always_inline void listener__forget(struct sock *sk)
{
	__u64 socket = (__u64)sk;

	bpf_map_delete_elem(&listeners, &socket);
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
	c = connection__make(sk, cgroup__of_socket(sk));
	if (!c)
		return; /* the handshake's end tries again, and counts it; without a process, as its record does */
	if (c->start_ns)
		connection__forget(c, sk);
	c->pid = owner->pid;
	__builtin_memcpy(c->comm, owner->comm, sizeof(c->comm));
}

#endif
