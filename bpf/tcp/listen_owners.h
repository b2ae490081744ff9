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
#include "common/tenants.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"
#include "tcp/connection.h"
#include "tcp/record.h"
#include "tcp/socket_shares.h"

#define LISTENERS_ROOM 16384

/* Who listens: the process that called listen(). */
struct listen_owner {
	__u32 pid;
	char comm[16];
	__u32 tenant; /* one more than its place in listener_tenants[]; 0: not in the table yet */
	__u64 walk;   /* the last one that found it, or had begun when it was noted */
};

struct {
	/*
	 * Who listens, by the address of the listening socket. Written when it listens or is adopted, read for records when a
	 * child is made, removed when it closes, or where walks do not find it any more. A tenant has its share: connections to
	 * what it has beyond that have no process, each LOSS_PROCESS_UNKNOWN_DETAIL.
	 */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LISTENERS_ROOM);
	__type(key, __u64);
	__type(value, struct listen_owner);
} listeners SEC(".maps");

struct {
	/* How many listeners each tenant has in there, and all of them. Who puts one in or takes it out counts. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TENANTS_AND_ALL);
	__type(key, __u32);
	__type(value, struct tenant);
} listener_tenants SEC(".maps");

/* Not static: the verifier looks at it once, and not for each caller. So is the next. */
__noinline int listener_share__leave(__u32 place)
{
	tenant__give_back_in(&listener_tenants, place);
	return 0;
}

/* @return its place; -1: the tenant holds its share */
__noinline int listener_share__enter(__u64 cgroup)
{
	return tenant__take_in(&listener_tenants, cgroup, LISTENERS_ROOM);
}

static __always_inline void listener__forget_at(__u64 socket)
{
	struct listen_owner *owner = bpf_map_lookup_elem(&listeners, &socket);
	__u32 tenant = owner ? owner->tenant : 0;

	if (tenant && !bpf_map_delete_elem(&listeners, &socket))
		listener_share__leave(tenant - 1);
}

static __always_inline void listener__forget(struct sock *sk)
{
	listener__forget_at((__u64)sk);
}

/* @param owner out: what is in the table then, where there is room */
static __always_inline void listener__note(struct sock *sk, struct listen_owner *owner, __u64 cgroup)
{
	struct state *st = state__get();
	__u64 socket = (__u64)sk;
	int place;

	listener__forget_at(socket); /* of one that was there before, and whose close nobody saw */
	place = listener_share__enter(cgroup);
	if (place < 0 || !st)
		return;
	owner->tenant = place + 1;
	owner->walk = st->walk;
	if (bpf_map_update_elem(&listeners, &socket, owner, BPF_NOEXIST))
		listener_share__leave(place);
}

/* The walk has found it. */
static __always_inline void listener__found(struct sock *sk, struct state *st)
{
	__u64 socket = (__u64)sk;
	struct listen_owner *owner = bpf_map_lookup_elem(&listeners, &socket);

	if (owner)
		owner->walk = st->walk;
}

/* One that neither this walk nor the last one has found is gone, and nobody saw its close. */
static long listener__forget_lost(void *map, const __u64 *socket, struct listen_owner *owner, void *unused)
{
	struct state *st = state__get();
	__u64 at = *socket;

	(void)map;
	(void)unused;
	if (st && owner->walk + 1 < st->walk)
		listener__forget_at(at);
	return 0;
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
