/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Cgroups, and the kernfs nodes that have their names. See sockets.h for what a struct here is. */
#ifndef KERNEL_CGROUP_H
#define KERNEL_CGROUP_H

#include "kernel/uapi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	struct kernfs_node *parent;   /* up to 6.14 */
	struct kernfs_node *__parent; /* from 6.15 on, 633488947ef6 */
	const char *name;
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
	struct cgroup *ancestors[0]; /* from 6.1 on; the root first */
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

#pragma clang attribute pop

#endif
