/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Tasks, with the namespaces and cgroups that they live in. See sockets.h for what a struct here is. */
#ifndef KERNEL_TASKS_H
#define KERNEL_TASKS_H

#include "kernel/cgroup.h"
#include "kernel/sockets.h"
#include "kernel/uapi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nsproxy {
	struct net *net_ns;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

/* How deep pid namespaces may be nested: MAX_PID_NS_LEVEL. */
#define PID_LEVELS 32

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct task_struct {
	int tgid;
	struct pid *thread_pid;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	char comm[16];
};

#pragma clang attribute pop

#endif
