/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A socket's cgroup: its id, whether it is counted, and its names on first sight.
 *
 * The names come from the kernel at the time of the socket, so a container that is gone before user
 * space looks is still named. Must not be called on request or time-wait sockets.
 */
#ifndef COMMON_CGROUPS_H
#define COMMON_CGROUPS_H

#include "common/maps.h"
#include "contract/frames.h"
#include "contract/pinned.h"
#include "kernel/cgroup.h"
#include "kernel/helpers.h"
#include "kernel/sockets.h"

static __always_inline struct kernfs_node *kernfs__parent(struct kernfs_node *node)
{
	/* Renamed in 6.15 by 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent."). */
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return BPF_CORE_READ(node, parent);
}

static __always_inline bool cgroup__is_counted(struct cgroup *cgroup, struct settings *s)
{
	struct cgroup *ancestor;

	if (!s->filter_cgroup)
		return true;
	if (BPF_CORE_READ(cgroup, level) < (int)s->filter_level)
		return false;
	if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
				  (void *)cgroup + bpf_core_field_offset(cgroup->ancestors) +
					  (s->filter_level & 0xff) * sizeof(ancestor)))
		return false;
	return BPF_CORE_READ(ancestor, kn, id) == s->filter_cgroup;
}

/* Keeps a name as far as there is room for it, and says so where there is not. */
static __always_inline void cgroup__note_name(char *to, const char *name)
{
	long length = bpf_probe_read_kernel_str(to, CGROUP_NAME_MAX, name);
	char next = 0;

	if (length < 0) {
		to[0] = '?';
		to[1] = '\0';
		loss__count(LOSS_CGROUP_NAME_FAILED);
	} else if (length == CGROUP_NAME_MAX && !bpf_probe_read_kernel(&next, 1, name + CGROUP_NAME_MAX - 1) && next) {
		loss__count(LOSS_CGROUP_NAME_CUT_DETAIL);
	}
}

/*
 * The deepest level that has its name noted: the cgroup itself, or one above it where it lies deeper. Whoever owns a
 * cgroup makes levels below it, as many and under such names as they like; those above it are not theirs.
 */
static __always_inline struct kernfs_node *cgroup__deepest_named(struct cgroup *cgroup, struct settings *s)
{
	__u32 deepest = CGROUP_LEVELS + (s->filter_cgroup ? s->filter_level & 0xff : 0);
	struct cgroup *ancestor;

	if (BPF_CORE_READ(cgroup, level) <= (int)deepest)
		return BPF_CORE_READ(cgroup, kn);
	if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
				  (void *)cgroup + bpf_core_field_offset(cgroup->ancestors) +
					  deepest * sizeof(ancestor)))
		return NULL;
	return BPF_CORE_READ(ancestor, kn);
}

/*
 * Notes the names of a level and of those above it. Cost: some 20 reads, once a cgroup. Not static: the verifier looks
 * at it once, and not for each caller.
 *
 * @param place address of the kernfs_node of the deepest of these levels
 */
__noinline int cgroup__learn(__u64 id, __u64 place, __u64 root)
{
	struct kernfs_node *node = (struct kernfs_node *)place;
	static const struct frame_cgroup empty;
	struct frame_cgroup *known;
	int level;

	/* Too large for the stack: put an empty one in, then fill it in place. */
	if (bpf_map_update_elem(&cgroups, &id, &empty, BPF_NOEXIST))
		return 0; /* another CPU was faster, or there is no room and the next socket tries again */
	known = bpf_map_lookup_elem(&cgroups, &id);
	if (!known) {
		loss__count(LOSS_CGROUP_NAME_FAILED);
		return 0;
	}
	known->seen_ns = bpf_ktime_get_boot_ns();
	if (!node)
		cgroup__note_name(known->names[0], NULL); /* cannot be read: counted */
	for (level = 0; level < CGROUP_LEVELS && node; level++) {
		struct kernfs_node *parent = kernfs__parent(node);

		if (!parent || BPF_CORE_READ(node, id) == root)
			break; /* the root has no name, and the filter's is the root of all names */
		cgroup__note_name(known->names[level], BPF_CORE_READ(node, name));
		node = parent;
	}
	/* Last: a row without its id is not yet complete, and the probe leaves it for the next exchange. */
	known->id = id;
	return 0;
}

/* @return the cgroup's id, or 0 if it is not counted */
static __always_inline __u64 cgroup__counted(struct cgroup *cgroup, __u64 id, struct settings *s)
{
	if (bpf_map_lookup_elem(&cgroups, &id))
		return id;
	if (!cgroup__is_counted(cgroup, s))
		return 0;
	cgroup__learn(id, (__u64)cgroup__deepest_named(cgroup, s), s->filter_cgroup);
	return id;
}

/* @return the id of the socket's cgroup, or 0 if it is not counted */
static __always_inline __u64 cgroup__of_socket(struct sock *sk, struct settings *s)
{
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
	struct kernfs_node *node;

	if (!cgroup)
		return 0;
	node = cgroup->kn;
	return node ? cgroup__counted(cgroup, node->id, s) : 0;
}

/* The same of a socket or thread that the verifier does not know: its cgroup is read as foreign memory. */
static __always_inline __u64 cgroup__of_foreign(struct cgroup *cgroup, struct settings *s)
{
	return cgroup ? cgroup__counted(cgroup, BPF_CORE_READ(cgroup, kn, id), s) : 0;
}

#endif
