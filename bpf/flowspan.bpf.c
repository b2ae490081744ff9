// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * All BPF programs of flowspan: the hooks, the iterators and the two that the probe runs itself.
 *
 *   tp_btf hooks ──► socket storage ──► edges ◄── walk (iter/bpf_sk_storage_map, else iter/task_file)
 *                          ▲              │
 *        adopt (iter/task_file)           └──► probe ──► agent ──► settle
 *
 * No program here runs for a packet, an ACK or a read or write call. Each acts only while its own
 * generation is the active one: see struct settings.
 */
#include "kernel/kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "contract/contract.h"
#include "contract/pinned.h"

struct connection;
struct trouble;
struct interim;
struct undecided;
#include "common/maps.h"
#include "common/histogram.h"
#include "common/cgroups.h"
#include "common/edges.h"
#include "tcp/round_trips.h"
#include "tcp/connection.h"
#include "tcp/handshakes.h"
#include "common/siphash.h"
#include "common/tokens.h"
#include "tcp/aborts.h"
#include "tcp/attempts.h"
#include "tcp/bypass.h"
#include "tcp/troubles.h"
#include "tcp/records.h"
#include "tcp/undecided.h"
#include "tcp/listen_owners.h"
#include "tcp/mptcp.h"
#include "tcp/open_close.h"
#include "tcp/retransmit_reset.h"
#include "tcp/roles.h"
#include "tcp/adopt.h"
#include "tcp/walk.h"
#include "common/settle.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * A TCP socket changed its state.
 *
 * Hook:   tp_btf, in process context and softirq, under the socket's lock: its counters are at rest.
 * Cost:   about 10 runs a connection for both ends, half of which return at once.
 * Misses: the kernel skips a program that already runs on this CPU (a softirq interrupts process
 *         context): those runs are in recursion_misses, and the twin takes them.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int from, int to)
{
	struct settings *s;

	if (!state_matters(to) && !state_is_birth(from, to)) {
		if (is_in_sockmap(sk))
			on_sockmap(sk);
		if (state_is_peer_closed(from, to) && settings__if_active())
			on_fin(sk);
		if (to == TCP_FIN_WAIT1 && (s = settings__if_active()) && s->asked.records)
			on_own_fin(sk);
		return 0;
	}
	s = settings__if_active();
	if (s)
		on_state(sk, from, to, s);
	return 0;
}

/*
 * The same hook again, for what the first one could not see.
 *
 * Hook:   as above, attached beside it: what interrupts the first finds this one free.
 * Cost:   one look at the socket's storage, at half of the runs.
 * Misses: changes for which the kernel calls no program at all: with RPS on 6.18 some 0.1 % of those in
 *         softirq, which no witness program sees either (ARCHITECTURE.md, "What is lost where").
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_twin, struct sock *sk, int from, int to)
{
	struct settings *s;

	if (!state_matters(to)) {
		if (state_is_peer_closed(from, to) && settings__if_active())
			on_fin(sk);
		return 0;
	}
	s = settings__if_active();
	if (s && !state_is_noted(sk, to))
		on_state(sk, from, to, s);
	return 0;
}

/*
 * A segment was sent again.
 *
 * Hook:   tp_btf, in softirq or process context, after total_retrans has grown.
 * Cost:   once a retransmit; nothing on the path of a healthy connection.
 * Misses: nothing: what no event told (a failed resend, a skipped run) is counted later as `syn` where
 *         no handshake was complete, else as `other`.
 *         Since ad892e912b84 it also fires for failed resends; total_retrans counts those either way.
 */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (s)
		on_retransmit(sk, s);
	return 0;
}

/*
 * A SYN-ACK was sent again; there is no full socket yet.
 *
 * Hook:   tp_btf, from the request's timer or a repeated SYN.
 * Cost:   once a repeated SYN-ACK.
 * Misses: SYN-ACKs repeated while SYN cookies are in use: those keep no request.
 */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	struct settings *s = settings__if_active();

	if (s)
		on_retransmit_synack(sk, req, s);
	return 0;
}

/*
 * We sent a RST.
 *
 * Hook:   tp_btf; sk is NULL when no socket is behind it (a closed port).
 * Cost:   once a RST.
 * Misses: RSTs without a full socket; they belong to no connection of ours.
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (sk && s)
		on_reset(sk, RESET_SENT, s);
	return 0;
}

/*
 * A RST came for a connection.
 *
 * Hook:   tp_btf, before the socket closes.
 * Cost:   once a RST.
 * Misses: RSTs that match no socket.
 */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct settings *s = settings__if_active();

	if (sk && s) {
		if (is_in_sockmap(sk))
			on_sockmap(sk);
		on_reset(sk, RESET_RECEIVED, s);
	}
	return 0;
}

/*
 * An error is told to the application.
 *
 * Hook:   tp_btf, in softirq or process context.
 * Cost:   once an error; nothing on the path of a healthy connection.
 * Misses: nothing that sk_err still holds at the close.
 */
SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(inet_sk_error_report, const struct sock *sk)
{
	if (settings__if_active())
		on_error((struct sock *)sk);
	return 0;
}

/*
 * The walk: adds every marked socket's growth to its edge.
 *
 * Hook:   iterator over socket storage, all net namespaces, once an exchange.
 * Cost:   about 0.5 us a socket.
 * Misses: sockets without storage.
 */
SEC("iter/bpf_sk_storage_map")
int walk(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct settings *s = settings__if_active();
	struct connection *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (s && c && sk)
		walk_socket(sk, c, s);
	else if (s && !sk)
		walk_end();
	return 0;
}

/*
 * The walk where the kernel refuses the other one, as a hardened one does: over all tasks' open files.
 *
 * Hook:   iterator over all tasks' files, once an exchange.
 * Cost:   about 0.1 us a file, 0.5 us a socket.
 * Misses: sockets that no task holds a file of, until they close: those that an application has closed and the kernel
 *         still sends for, that wait to be accepted, MPTCP's subflows, the kernel's own, files on their way
 *         (SCM_RIGHTS) or in io_uring.
 */
SEC("iter/task_file")
int walk_files(struct bpf_iter__task_file *ctx)
{
	struct settings *s = settings__if_active();
	struct sock *sk = inet_of_file(ctx->file);

	if (s && sk)
		walk_file(sk, s);
	else if (s && !ctx->task)
		walk_end();
	return 0;
}

/*
 * Adoption, first pass: listeners.
 *
 * Hook:   iterator over all tasks' files, once at start, after the hooks are attached.
 * Cost:   once a file; returns at once for what is no listening TCP or MPTCP socket that is counted.
 * Misses: listeners that no task holds a file of; MPTCP's before 6.2.
 */
SEC("iter/task_file")
int adopt_listeners(struct bpf_iter__task_file *ctx)
{
	struct settings *s = settings__if_active();
	struct sock *sk = inet_of_file(ctx->file);
	struct task_struct *task = ctx->task;

	if (!s || !sk || !task)
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP)
		adopt_mptcp_if_listens(sk, task, s);
	else
		adopt_if_listens(sk, task, s);
	return 0;
}

/*
 * Adoption, second pass: connections that are open already, and those that wait to be accepted.
 *
 * Hook, cost: as above.
 * Misses: connections that no task holds a file of: the kernel's own, files on their way (SCM_RIGHTS), in io_uring.
 *         Of MPTCP all but the first subflow, all before 6.2, and those that wait to be accepted. LOSS_NOT_ADOPTED
 *         counts them at once, LOSS_CLOSED_UNTRACKED when they close.
 */
SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	struct settings *s = settings__if_active();
	struct sock *sk = inet_of_file(ctx->file);

	if (!s || !sk)
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP)
		adopt_mptcp(sk, s);
	else if (sk->__sk_common.skc_state == TCP_LISTEN)
		adopt_queued(sk, s);
	else if (state_is_open(sk->__sk_common.skc_state))
		adopt_connection(sk, s);
	return 0;
}

/*
 * @return the id of the thread as the probe's own /proc knows it, 0 where it does not: in kind a node is a pid
 *         namespace of its own, and task->pid is the machine's number
 */
static __always_inline __u32 thread__id(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level, deepest = BPF_CORE_READ(pid, level);

	for (level = 0; level < PID_LEVELS; level++) {
		void *number =
			(void *)pid + bpf_core_field_offset(pid->numbers) + level * bpf_core_type_size(struct upid);
		struct upid *upid = number;

		if (level > deepest)
			break;
		if (BPF_CORE_READ(upid, ns, ns.inum) == pid_namespace)
			return BPF_CORE_READ(upid, nr);
	}
	return 0;
}

/*
 * Net namespaces that counted threads live in, each once an exchange, with one of its threads.
 *
 * Hook:   iterator over all threads; independent of the sockets, so that blind hooks cannot look quiet.
 * Cost:   a map lookup a thread.
 * Misses: namespaces without a thread.
 */
SEC("iter/task")
int namespaces(struct bpf_iter__task *ctx)
{
	struct settings *s = settings__if_active();
	struct task_struct *task = ctx->task;
	struct namespace_seen row = {};
	struct state *st = state__get();
	struct cgroup *cgroup;
	struct net *net;
	__u64 *last;

	if (!s || !st || !task)
		return 0;
	net = BPF_CORE_READ(task, nsproxy, net_ns);
	cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	if (!net || !cgroup || !cgroup__is_counted(cgroup, s))
		return 0;
	row.netns = BPF_CORE_READ(net, ns.inum);
	if (bpf_core_field_exists(net->net_cookie))
		row.cookie = BPF_CORE_READ(net, net_cookie);
	row.pid = thread__id(task);
	if (!row.pid)
		return 0;
	last = bpf_map_lookup_elem(&namespaces_seen, &row.netns);
	if (last && *last == st->exchange)
		return 0;
	if (bpf_seq_write(ctx->meta->seq, &row, sizeof(row)))
		return 0; /* the buffer is full: the kernel calls again for this task with an empty one */
	bpf_map_update_elem(&namespaces_seen, &row.netns, &st->exchange, BPF_ANY);
	return 0;
}

/* Applies the first `count` rows of `settlements`. Run by the probe, BPF_PROG_RUN. */
SEC("syscall")
int settle(struct settle_context *ctx)
{
	__u64 count = ctx->count;

	if (!settings__if_active() || count > SETTLEMENTS_MAX)
		return -1;
	bpf_loop(count, settle__one, NULL, 0);
	return 0;
}
