/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Turns edge values into rows and rows into settlements. Pure. Settling the row of a value subtracts
 * exactly that value; rows_test.c says so.
 */
#include "exchange/rows.h"

#include <string.h>

size_t row__fill(struct row *row, const struct edge_key *key, const struct edge_value *value, __u64 exchange)
{
	bool counted = value->open_walk == exchange;
	__u32 count = 0;

	for (__u32 slot = 0; slot < SLOT_COUNT; slot++) {
		if (value->slots[slot])
			row->slots[count++] = (struct slot_growth){ .slot = slot, .count = value->slots[slot] };
	}
	row->edge = (struct frame_edge){
		.key = *key,
		.exchange = exchange,
		.since_ns = value->since_ns,
		.growth = value->growth,
		.open = counted ? value->open : 0,
		.limit = counted ? value->limit : 0,
		.slot_count = count,
	};
	return sizeof(row->edge) + count * sizeof(row->slots[0]);
}

static bool row__has_growth(const struct row *row)
{
	static const struct edge_counters none;

	return row->edge.slot_count > 0 || memcmp(&row->edge.growth, &none, sizeof(none)) != 0;
}

bool row__is_news(const struct row *row, const struct edge_value *value)
{
	return row__has_growth(row) || row->edge.open > 0 || row->edge.limit > 0 || value->reported > 0;
}

bool edge__is_idle(const struct row *row, const struct edge_value *value, __u64 now_ns, __u64 idle_ns)
{
	return !row__is_news(row, value) && value->active_ns + idle_ns < now_ns;
}

void settlement__fill(struct settlement *settlement, const void *payload)
{
	struct frame_edge edge;
	struct slot_growth growth;

	memcpy(&edge, payload, sizeof(edge));
	memset(settlement, 0, sizeof(*settlement));
	settlement->key = edge.key;
	settlement->growth = edge.growth;
	settlement->exchange = edge.exchange;
	settlement->reported = edge.open || edge.limit;
	settlement->action = SETTLEMENT_SUBTRACT;
	for (__u32 i = 0; i < edge.slot_count; i++) {
		memcpy(&growth, (const char *)payload + sizeof(edge) + i * sizeof(growth), sizeof(growth));
		settlement->slots[growth.slot] = growth.count;
	}
}
