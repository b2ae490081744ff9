/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Which cgroups the connected agent has heard the names of. */
#ifndef EXCHANGE_ANNOUNCED_H
#define EXCHANGE_ANNOUNCED_H

#include <stdbool.h>

#include "contract/types.h"

/* Room for this many ids; when three quarters are taken all is forgotten, and the agent hears names again. */
#define ANNOUNCED_SIZE 16384

/* Open addressing; 0 is no cgroup's id. */
struct announced {
	__u32 count;
	__u64 ids[ANNOUNCED_SIZE];
};

void announced__clear(struct announced *announced);
bool announced__has(const struct announced *announced, __u64 id);
void announced__add(struct announced *announced, __u64 id);

#endif
