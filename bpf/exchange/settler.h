/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Rows that the Collector accepted, on their way out of the kernel's edges. */
#ifndef EXCHANGE_SETTLER_H
#define EXCHANGE_SETTLER_H

#include <stdbool.h>

#include "contract/edge.h"
#include "contract/frames.h"
#include "shared/pinned_maps.h"
#include "load/programs.h"

/* Collects settlements and has the kernel apply them, SETTLEMENTS_MAX at a time. */
struct settler {
	const struct programs *programs;
	struct pinned_maps *maps;
	__u32 staged;
	struct frame_settled settled; /* since the last flush */
	__u64 evicted;                /* since the settler was made */
};

/* The three below return false, after saying why, when the kernel did not apply what was staged. */

/* Stages a row's payload, which command__parse has checked. */
bool settler__settle(struct settler *settler, const void *payload);

/* Stages the removal of an idle edge. */
bool settler__evict(struct settler *settler, const struct edge_key *key);

/* Applies all that is staged. */
bool settler__apply(struct settler *settler);

/* Applies what is staged, gives the counts since the last flush and starts new ones. */
bool settler__flush(struct settler *settler, struct frame_settled *settled);

#endif
