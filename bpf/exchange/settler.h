/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Rows that the Collector accepted, on their way out of the kernel's edges. */
#ifndef EXCHANGE_SETTLER_H
#define EXCHANGE_SETTLER_H

#include <stdbool.h>

#include "contract/edge.h"
#include "contract/frames.h"
#include "exchange/waiting_rows.h"
#include "shared/pinned_maps.h"
#include "load/programs.h"

/* Collects rows until they are flushed, and has the kernel apply them, SETTLEMENTS_MAX at a time. */
struct settler {
	const struct programs *programs;
	struct pinned_maps *maps;
	struct waiting_rows waiting; /* without a flush behind them */
	__u32 staged;
	struct frame_settled settled; /* since the last flush */
	__u64 evicted;                /* since the settler was made */
};

/* The four below return false, after saying why, when the kernel did not apply what it was to. */

/*
 * Keeps a row's payload, which command__parse has checked, until it is flushed: an agent that is killed before has
 * settled none of the rows of a flush, so that no series is cut. More than WAITING_ROWS_MAX are applied in parts.
 */
bool settler__settle(struct settler *settler, const void *payload, size_t length);

/* Stages the removal of an idle edge. */
bool settler__evict(struct settler *settler, const struct edge_key *key);

/* Forgets rows that were not flushed: their agent is gone, and what they say comes again. */
void settler__forget(struct settler *settler);

/* Applies all that waits or is staged. */
bool settler__apply(struct settler *settler);

/* Applies what is staged, gives the counts since the last flush and starts new ones. */
bool settler__flush(struct settler *settler, struct frame_settled *settled);

#endif
