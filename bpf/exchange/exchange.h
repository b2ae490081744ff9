/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One exchange: number it, walk, and send what has grown. */
#ifndef EXCHANGE_EXCHANGE_H
#define EXCHANGE_EXCHANGE_H

#include <stdbool.h>

#include "exchange/cgroup_set.h"
#include "exchange/own_memory.h"
#include "shared/pinned_maps.h"
#include "wire/output.h"
#include "load/programs.h"
#include "exchange/rows.h"
#include "exchange/settler.h"

struct exchange {
	const struct programs *programs;
	struct pinned_maps *maps;
	struct output *output;
	struct settler *settler;
	bool proc_snmp;
	struct own_memory memory;
	struct cgroup_set announced; /* whose names the connected agent has heard */
	struct cgroup_set cgroups;   /* that have edges, of this exchange */
	const __u64 *records;        /* what STATUS says of them */
	/* Called between batches, so that connection records do not wait for the whole exchange. */
	void (*on_batch)(void *context);
	void *context;
	/* A batch of the edge table; grows when a hash bucket is longer. */
	struct edge_key *keys;
	struct edge_value *values;
	__u32 capacity;
	struct row row;
	__u64 rows_sent;
	__u64 edges;
};

/* Sends the cgroup's names unless the agent has them. False: they are being learned just now, wait. */
bool cgroup__announce(struct exchange *exchange, __u64 id);

/* Allocates the batch. 0, or -1 after saying why. */
int exchange__open(struct exchange *exchange);

/*
 * Runs one exchange. False when it ended early: the agent is gone or the kernel refused something.
 * Nothing is lost then, the next exchange says it again.
 */
bool exchange__run(struct exchange *exchange);

#endif
