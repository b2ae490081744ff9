/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A bounded set of cgroup ids. Pure. Forgetting is harmless: a CGROUP frame may be said twice. */
#include "exchange/announced.h"

#include <string.h>

/* The id's place, or the free one where it would go. */
static __u32 announced__find(const struct announced *announced, __u64 id)
{
	__u32 place = (__u32)((id * 0x9E3779B97F4A7C15ULL) >> 50); /* 50: the top 14 bits, ANNOUNCED_SIZE is 2^14 */

	while (announced->ids[place] && announced->ids[place] != id)
		place = (place + 1) % ANNOUNCED_SIZE;
	return place;
}

void announced__clear(struct announced *announced)
{
	memset(announced, 0, sizeof(*announced));
}

bool announced__has(const struct announced *announced, __u64 id)
{
	return announced->ids[announced__find(announced, id)] == id;
}

void announced__add(struct announced *announced, __u64 id)
{
	if (id == 0 || announced__has(announced, id))
		return;
	if (announced->count >= ANNOUNCED_SIZE / 4 * 3)
		announced__clear(announced);
	announced->ids[announced__find(announced, id)] = id;
	announced->count++;
}
