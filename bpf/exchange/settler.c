/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Rows wait for their flush; then they are staged as settlements in the shared map, and the kernel's settle program is
 * run on them. The program alone changes edges; it takes a row once only, so repeating is harmless.
 */
#include "exchange/settler.h"

#include <errno.h>
#include <string.h>

#include "shared/log.h"
#include "exchange/rows.h"

static bool settler__run(struct settler *settler)
{
	int failed = settler->staged ? programs__settle(settler->programs, settler->staged) : 0;

	if (failed) {
		log_error("cannot settle %u rows: %s; they stay in the kernel", settler->staged, strerror(-failed));
		settler->staged = 0;
		return false;
	}
	for (__u32 i = 0; i < settler->staged; i++) {
		const struct settlement *settlement = &settler->maps->settlements[i];
		bool done = settlement->result == SETTLEMENT_DONE;

		if (settlement->action == SETTLEMENT_EVICT)
			settler->evicted += done;
		else if (done)
			settler->settled.rows++;
		else if (settlement->result == SETTLEMENT_REFUSED)
			settler->settled.refused++;
		else
			settler->settled.unknown++;
	}
	settler->staged = 0;
	return true;
}

static struct settlement *settler__next(struct settler *settler)
{
	return &settler->maps->settlements[settler->staged];
}

static bool settler__staged(struct settler *settler)
{
	return ++settler->staged < SETTLEMENTS_MAX || settler__run(settler);
}

/* Rows of other maps than these (their pins were removed since) name growth that is not here. */
static bool row__is_ours(const struct settlement *settlement, __u64 since_ns, const struct state *state)
{
	return settlement->exchange <= state->exchange && since_ns >= state->started_ns;
}

static bool row__stage(struct settler *settler, const char *payload)
{
	struct settlement *settlement = settler__next(settler);
	const struct state *state = settler->maps->state;
	struct frame_edge edge;

	memcpy(&edge, payload, sizeof(edge));
	settlement__fill(settlement, payload);
	/* The last exchange's time also for a row of an older one: later than its points, so series never overlap. */
	settlement->boot_ns = state->exchange_ns;
	if (!row__is_ours(settlement, edge.since_ns, state)) {
		settler->settled.unknown++;
		return true;
	}
	return settler__staged(settler);
}

bool settler__apply(struct settler *settler)
{
	bool applied = true;
	const char *row;
	size_t at = 0;

	while (applied && (row = waiting_rows__next(&settler->waiting, &at)))
		applied = row__stage(settler, row);
	settler__forget(settler);
	return applied && settler__run(settler);
}

bool settler__settle(struct settler *settler, const void *payload, size_t length)
{
	if (!waiting_rows__fit(&settler->waiting, length) && !settler__apply(settler))
		return false;
	if (waiting_rows__add(&settler->waiting, payload, length))
		return true;
	log_error("cannot keep rows to settle: %s; they stay in the kernel", strerror(errno));
	return false;
}

void settler__forget(struct settler *settler)
{
	waiting_rows__forget(&settler->waiting);
}

bool settler__evict(struct settler *settler, const struct edge_key *key)
{
	struct settlement *settlement = settler__next(settler);

	memset(settlement, 0, sizeof(*settlement));
	settlement->key = *key;
	settlement->action = SETTLEMENT_EVICT;
	settlement->exchange = settler->maps->state->exchange;
	return settler__staged(settler);
}

bool settler__flush(struct settler *settler, struct frame_settled *settled)
{
	bool applied = settler__apply(settler);

	*settled = settler->settled;
	settler->settled = (struct frame_settled){ 0 };
	return applied;
}
