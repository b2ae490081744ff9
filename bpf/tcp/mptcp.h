/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * MPTCP sockets that are older than the probe. Younger ones need nothing of this: their subflows are TCP sockets, which
 * the hooks mark.
 *
 *   file ─► MPTCP socket: marked ─ ─ ─► first subflow: only read
 *
 * No pointer leads from an MPTCP socket to its subflows that the verifier lets a program mark by. So what is known of
 * an older subflow lies in the storage of its MPTCP socket: the walk reads the subflow from there, and the MPTCP
 * socket's close is the subflow's. Only of the first: it is the listener, or the connection as it began.
 */
#ifndef TCP_MPTCP_H
#define TCP_MPTCP_H

#include "kernel/cast.h"
#include "kernel/helpers.h"
#include "kernel/tcp_sock.h"

struct {
	/*
	 * First subflows of MPTCP sockets that are older than the probe, by address: their storage is their MPTCP
	 * socket's. Written by adoption, removed when they close. Full: the close of the least recently adopted counts
	 * as unseen.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u8);
} older_subflows SEC(".maps");

static __always_inline bool mptcp__exists(void)
{
	return bpf_core_type_exists(struct mptcp_sock);
}

static __always_inline bool mptcp__is_readable(void)
{
	return mptcp__exists() && cast__exists();
}

/* @return the first subflow of an MPTCP socket, to read and not to mark; NULL when it is gone or cannot be read */
static __always_inline struct tcp_sock *mptcp__first(struct sock *sk)
{
	struct mptcp_sock *mptcp;
	struct sock *first;

	if (!mptcp__is_readable())
		return NULL;
	mptcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct mptcp_sock));
	first = mptcp->first;
	return first ? bpf_rdonly_cast(first, bpf_core_type_id_kernel(struct tcp_sock)) : NULL;
}

/* Notes that the subflow's own close says nothing. */
static __always_inline void mptcp__note_first(struct tcp_sock *first)
{
	__u64 subflow = (__u64)first;
	__u8 noted = 1;

	bpf_map_update_elem(&older_subflows, &subflow, &noted, BPF_ANY);
}

/* @return whether a socket without storage is the subflow of one that has it: true once */
static __always_inline bool mptcp__forget_first(struct sock *sk)
{
	__u64 subflow = (__u64)sk;

	return bpf_map_delete_elem(&older_subflows, &subflow) == 0;
}

#endif
