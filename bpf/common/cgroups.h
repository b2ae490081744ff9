/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A socket's cgroup: whether it is counted, which cgroup above it names it, and that one's names on first sight.
 *
 * The names come from the kernel at the time of the socket, so a container that is gone before user
 * space looks is still named. Must not be called on request or time-wait sockets.
 */
#ifndef COMMON_CGROUPS_H
#define COMMON_CGROUPS_H

#include "common/cgroup_names.h"
#include "common/maps.h"
#include "common/tenants.h"
#include "contract/frames.h"
#include "contract/pinned.h"
#include "kernel/cgroup.h"
#include "kernel/helpers.h"
#include "kernel/sockets.h"

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

/* A cgroup's levels below the root of all names, or below the filter's. */
struct cgroup_path {
	__u64 ancestors; /* address of the root's place in struct cgroup's ancestors[] */
	__u32 depth;     /* levels below it, CGROUP_LEVELS at most: what lies deeper is never looked at */
};

/* @return the kernfs_node of a level, 0 being the root of all names; NULL where it cannot be read */
static __always_inline struct kernfs_node *cgroup__node(const struct cgroup_path *path, __u32 level)
{
	struct cgroup *ancestor;

	if (bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)(path->ancestors + level * sizeof(ancestor))))
		return NULL;
	return BPF_CORE_READ(ancestor, kn);
}

/*
 * Since 6.7 the verifier goes through a loop's body until it finds nothing new. With counts that it knows there is something
 * new each time. `none` is 0, which it does not know; so after each round it knows none of them.
 */
static __always_inline void name__hide(struct name_scan *scan, __u64 none)
{
	scan->last ^= none;
	scan->length ^= none;
	scan->run ^= none;
	scan->hex ^= none;
	scan->flags ^= none;
}

static __always_inline void levels__hide(struct cgroup_levels *levels, __u64 none)
{
	levels->tenant ^= none;
	levels->named ^= none;
	levels->container ^= none;
	levels->unit ^= none;
	levels->user ^= none;
	levels->after_pod ^= none;
	levels->is_over ^= none;
}

struct name_reading {
	__u64 address;
	__u64 none;
	struct name_scan scan;
};

static long name__read_at(__u32 index, void *context)
{
	struct name_reading *reading = context;
	__u8 c = 0;

	if (bpf_probe_read_kernel(&c, 1, (void *)(reading->address + index)) || !c)
		return 1;
	name__take(&reading->scan, c);
	name__hide(&reading->scan, reading->none);
	return 0;
}

struct levels_reading {
	struct cgroup_path path;
	__u64 none;
	struct cgroup_levels levels;
};

static long levels__read_at(__u32 index, void *context)
{
	struct levels_reading *reading = context;
	struct kernfs_node *node = cgroup__node(&reading->path, index + 1);
	struct name_reading name = { .none = reading->none };

	if (node)
		name.address = (__u64)BPF_CORE_READ(node, name);
	bpf_loop(CGROUP_NAME_MAX, name__read_at, &name, 0);
	levels__take(&reading->levels, index + 1, name__flags(&name.scan));
	if (!name.scan.length)
		reading->levels.is_over = 1; /* cannot be read: nobody knows whose what is below it is */
	levels__hide(&reading->levels, reading->none);
	return 0;
}

static __always_inline __u64 cgroup__id(const struct cgroup_path *path, __u32 level)
{
	struct kernfs_node *node = cgroup__node(path, level);

	return node ? BPF_CORE_READ(node, id) : 0;
}

/* Notes the names of a level and of those above it. */
static __always_inline void cgroup__note_names(struct frame_cgroup *known, const struct cgroup_path *path, __u32 named)
{
	__u32 i;

	for (i = 0; i < CGROUP_LEVELS && i < named; i++) {
		struct kernfs_node *node = cgroup__node(path, named - i);

		cgroup__note_name(known->names[i], node ? BPF_CORE_READ(node, name) : NULL);
	}
}

/* @return 0; the id is in `cgroup_places` then, where there is memory for it */
static __always_inline int cgroup__learn_from(__u64 id, const struct cgroup_path *path, __u64 none)
{
	struct levels_reading reading = { .path = *path, .none = none };
	static const struct frame_cgroup empty;
	struct frame_cgroup *known;
	__u64 named;

	bpf_loop(path->depth < CGROUP_LEVELS ? path->depth : CGROUP_LEVELS, levels__read_at, &reading, 0);
	levels__end(&reading.levels);
	named = cgroup__id(&reading.path, reading.levels.named) ?: id;
	/* Too large for the stack: put an empty one in, then fill it in place. */
	if (!bpf_map_update_elem(&cgroups, &named, &empty, BPF_NOEXIST)) {
		known = bpf_map_lookup_elem(&cgroups, &named);
		if (!known) {
			loss__count(LOSS_CGROUP_NAME_FAILED);
			return 0;
		}
		known->tenant = cgroup__id(&reading.path, reading.levels.tenant) ?: named;
		known->seen_ns = bpf_ktime_get_boot_ns();
		cgroup__note_names(known, &reading.path, reading.levels.named);
		/* Last: a row without its id is not yet complete, and the probe leaves it for the next exchange. */
		known->id = named;
	} /* else another CPU was faster, it is known by another cgroup, or there is no room and the next one tries again */
	bpf_map_update_elem(&cgroup_places, &id, &named, BPF_ANY);
	return 0;
}

/*
 * Finds the level that names a cgroup that is counted, and notes its names unless they are known. Cost: a read for each
 * character of the path, once a cgroup. Not static: the verifier looks at it once, and not for each caller.
 *
 * @param id of the cgroup
 * @param address of it, as a number: the verifier lets an address that it knows be no argument
 * @return whether it is counted
 */
__noinline int cgroup__learn(__u64 id, __u64 address)
{
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct tenant *nobody = tenant__at(TENANT_NOBODY);
	struct cgroup *cgroup = (struct cgroup *)address;
	struct cgroup_path path = {};
	__u32 root;
	int level;

	if (!s || !nobody || !cgroup__is_counted(cgroup, s))
		return 0;
	root = s->filter_cgroup ? s->filter_level & 0xff : 0;
	level = BPF_CORE_READ(cgroup, level);
	path.ancestors = address + bpf_core_field_offset(cgroup->ancestors) + root * sizeof(cgroup);
	path.depth = level > (int)root ? level - root : 0;
	cgroup__learn_from(id, &path, nobody->id);
	return 1;
}

/*
 * @return the id of the cgroup that names this one; 0 before it is known, and when its names were pushed out. Asking keeps the
 *         names: the table lets go of those that nobody asked for
 */
static __always_inline __u64 cgroup__known(__u64 id)
{
	__u64 *named = bpf_map_lookup_elem(&cgroup_places, &id);

	return named && bpf_map_lookup_elem(&cgroups, named) ? *named : 0;
}

/* On first sight. @return the id of the cgroup that names it, or 0 if it is not counted; address as in cgroup__learn() */
static __always_inline __u64 cgroup__meet(__u64 id, __u64 address)
{
	__u64 *named;

	if (!cgroup__learn(id, address))
		return 0;
	named = bpf_map_lookup_elem(&cgroup_places, &id);
	return named ? *named : id;
}

/* @return the id of the cgroup that names the socket's, or 0 if it is not counted */
static __always_inline __u64 cgroup__of_socket(struct sock *sk)
{
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
	struct kernfs_node *node;
	__u64 id;

	if (!cgroup)
		return 0;
	node = cgroup->kn;
	if (!node)
		return 0;
	id = node->id;
	return cgroup__known(id) ?: cgroup__meet(id, (__u64)BPF_CORE_READ(sk, sk_cgrp_data.cgroup));
}

/* The same of a socket or thread that the verifier does not know: its cgroup is read as foreign memory. */
static __always_inline __u64 cgroup__of_foreign(struct cgroup *cgroup)
{
	__u64 id;

	if (!cgroup)
		return 0;
	id = BPF_CORE_READ(cgroup, kn, id);
	return cgroup__known(id) ?: cgroup__meet(id, (__u64)cgroup);
}

#endif
