/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A bounded set of cgroup ids: those whose names the connected agent has heard, and those that have edges. */
#ifndef EXCHANGE_CGROUP_SET_H
#define EXCHANGE_CGROUP_SET_H

#include <stdbool.h>

#include "contract/types.h"

#define CGROUP_SET_SIZE 16384
/* Three quarters, so that a look ends soon. */
#define CGROUP_SET_MOST (CGROUP_SET_SIZE / 4 * 3)

/* Open addressing; 0 is no cgroup's id. */
struct cgroup_set {
	__u32 count;
	__u64 ids[CGROUP_SET_SIZE];
};

void cgroup_set__clear(struct cgroup_set *set);
bool cgroup_set__has(const struct cgroup_set *set, __u64 id);

/* Once each, and no id 0. False: there is no room for it. */
bool cgroup_set__add(struct cgroup_set *set, __u64 id);

#endif
