/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Net namespaces, each with a thread that lives in it: through its /proc the probe reads their totals. */
#ifndef COMMON_NAMESPACE_THREADS_H
#define COMMON_NAMESPACE_THREADS_H

#include "common/cgroups.h"
#include "common/maps.h"
#include "kernel/bpf_iter.h"
#include "kernel/helpers.h"
#include "kernel/tasks.h"

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
	row.cgroup = cgroup__of_foreign(cgroup);
	if (bpf_seq_write(ctx->meta->seq, &row, sizeof(row)))
		return 0; /* the buffer is full: the kernel calls again for this task with an empty one */
	bpf_map_update_elem(&namespaces_seen, &row.netns, &st->exchange, BPF_ANY);
	return 0;
}

#endif
