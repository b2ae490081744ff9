/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Pure. */
#include "exchange/cgroup_set.h"

#include <string.h>

/* The id's place, or the free one where it would go. */
static __u32 cgroup_set__find(const struct cgroup_set *set, __u64 id)
{
	__u32 place = (__u32)((id * 0x9E3779B97F4A7C15ULL) >> 50); /* 50: the top 14 bits, CGROUP_SET_SIZE is 2^14 */

	while (set->ids[place] && set->ids[place] != id)
		place = (place + 1) % CGROUP_SET_SIZE;
	return place;
}

void cgroup_set__clear(struct cgroup_set *set)
{
	memset(set, 0, sizeof(*set));
}

bool cgroup_set__has(const struct cgroup_set *set, __u64 id)
{
	return set->ids[cgroup_set__find(set, id)] == id;
}

bool cgroup_set__add(struct cgroup_set *set, __u64 id)
{
	if (id == 0 || cgroup_set__has(set, id))
		return true;
	if (set->count >= CGROUP_SET_MOST)
		return false;
	set->ids[cgroup_set__find(set, id)] = id;
	set->count++;
	return true;
}
