/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* An edge as the kernel keeps it, as a row that the agent gets, and back as a settlement. */
#ifndef EXCHANGE_ROWS_H
#define EXCHANGE_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "contract/frames.h"
#include "contract/pinned.h"

/* The payload of a FRAME_EDGE; only the first `slot_count` slots are sent. */
struct row {
	struct frame_edge edge;
	struct slot_growth slots[SLOT_COUNT];
};

/* Fills `row` with what `value` holds in this exchange. Returns the payload's length. */
size_t row__fill(struct row *row, const struct edge_key *key, const struct edge_value *value, __u64 exchange);

/* True where the row says something: growth, open connections, a listener's limit, or that nothing is open any more. */
bool row__is_news(const struct row *row, const struct edge_value *value);

/* Fills everything of `settlement` that the row's payload says. The payload was checked by command__parse. */
void settlement__fill(struct settlement *settlement, const void *payload);

/* True for an edge that may go: nothing unsettled, nothing open, no growth for `idle_ns`. */
bool edge__is_idle(const struct row *row, const struct edge_value *value, __u64 now_ns, __u64 idle_ns);

#endif
