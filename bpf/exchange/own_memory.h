/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Memory that our own cgroup is charged for, which has the kernel's maps in it, and the limit at which the kernel ends us. */
#ifndef EXCHANGE_OWN_MEMORY_H
#define EXCHANGE_OWN_MEMORY_H

#include <stdbool.h>

#include "contract/types.h"

/* Our cgroup in the hierarchy that has the memory controller. */
struct own_memory {
	int directory; /* open; -1: not found */
	bool is_v1;    /* its files have the names of cgroup v1 */
};

/*
 * Finds our cgroup below the mounts that are visible, by the name that /proc/self/cgroup has for it, else by our pid in its
 * cgroup.procs: a container that has the machine's hierarchy mounted does not know its own name there. Never fails: what is
 * not found is unknown. Only reading needs no rights, and is done from the open directory.
 */
void own_memory__open(struct own_memory *memory);

/*
 * In bytes. `limit` is the lowest one of our cgroup and of those above it that are visible, and `usage` that cgroup's; without any
 * limit it is 0, and `usage` our own cgroup's. Both are 0 where our cgroup is not known.
 */
void own_memory__read(const struct own_memory *memory, __u64 *usage, __u64 *limit);

/*
 * The name of our cgroup in `text`, /proc/self/cgroup: in cgroup v1's memory hierarchy if there is one, else in v2's. It cuts
 * `text` up. NULL: there is none. Pure.
 */
const char *own_memory__parse_name(char *text, bool *is_v1);

/* A file's number in bytes; 0 for none: `max`, or v1's number that stands for it, or what is no number. Pure. */
__u64 own_memory__parse_bytes(const char *text);

#endif
