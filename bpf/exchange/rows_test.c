/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Rows and settlements: what a row says is what its settlement takes away, and nothing else is news. */
#include "exchange/rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define EXCHANGE 7

static struct edge_value value__with_growth(void)
{
	struct edge_value value = { .since_ns = 5, .open = 3, .limit = 0, .open_walk = EXCHANGE, .active_ns = 100 };
	__u64 *counters = (__u64 *)&value.growth;

	for (unsigned i = 0; i < sizeof(value.growth) / sizeof(*counters); i++)
		counters[i] = 1000 + i;
	for (unsigned slot = 0; slot < SLOT_COUNT; slot += 23)
		value.slots[slot] = slot + 1;
	return value;
}

static void a_settlement_takes_exactly_what_its_row_said(void)
{
	struct edge_value value = value__with_growth();
	struct edge_key key = { .cgroup = 42, .role = ROLE_CLIENT, .server_port = 443 };
	struct settlement settlement;
	struct row row;
	size_t length = row__fill(&row, &key, &value, EXCHANGE);

	settlement__fill(&settlement, &row);

	assert(length == sizeof(row.edge) + row.edge.slot_count * sizeof(row.slots[0]));
	assert(memcmp(&settlement.key, &key, sizeof(key)) == 0);
	assert(memcmp(&settlement.growth, &value.growth, sizeof(value.growth)) == 0);
	assert(memcmp(settlement.slots, value.slots, sizeof(value.slots)) == 0);
	assert(settlement.exchange == EXCHANGE && settlement.reported == 1 && settlement.action == SETTLEMENT_SUBTRACT);
}

static void a_listener_is_reported_by_its_limit(void)
{
	struct edge_value value = { .limit = 128, .open_walk = EXCHANGE };
	struct edge_key key = { .role = ROLE_LISTENER };
	struct settlement settlement;
	struct row row;

	row__fill(&row, &key, &value, EXCHANGE);
	settlement__fill(&settlement, &row);

	assert(settlement.reported == 1);
}

static void open_connections_of_another_walk_are_not_reported(void)
{
	struct edge_value value = value__with_growth();
	struct edge_key key = { .role = ROLE_CLIENT };
	struct row row;

	row__fill(&row, &key, &value, EXCHANGE + 1);

	assert(row.edge.open == 0);
}

static void an_edge_without_growth_is_news_only_while_open_or_just_emptied(void)
{
	static const struct {
		struct edge_value value;
		bool news;
	} cases[] = {
		{ { .open_walk = EXCHANGE }, false },
		{ { .open_walk = EXCHANGE, .open = 1 }, true },
		{ { .open_walk = EXCHANGE, .limit = 128 }, true },
		{ { .open_walk = EXCHANGE - 1, .open = 1 }, false },
		{ { .open_walk = EXCHANGE, .reported = 1 }, true },
		{ { .growth = { .closed = 1 } }, true },
	};
	struct edge_key key = { .role = ROLE_CLIENT };
	struct row row;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		row__fill(&row, &key, &cases[i].value, EXCHANGE);
		assert(row__is_news(&row, &cases[i].value) == cases[i].news);
	}
}

static void an_edge_is_idle_only_after_its_time_also_soon_after_boot(void)
{
	struct edge_value value = { .active_ns = 100 };
	struct edge_key key = { .role = ROLE_CLIENT };
	struct row row;

	row__fill(&row, &key, &value, EXCHANGE);

	assert(!edge__is_idle(&row, &value, 120, 50));
	assert(edge__is_idle(&row, &value, 151, 50));
	assert(!edge__is_idle(&row, &value, 120, 1000));
}

int main(void)
{
	a_settlement_takes_exactly_what_its_row_said();
	a_listener_is_reported_by_its_limit();
	open_connections_of_another_walk_are_not_reported();
	an_edge_without_growth_is_news_only_while_open_or_just_emptied();
	an_edge_is_idle_only_after_its_time_also_soon_after_boot();
	puts("rows_test: ok");
	return 0;
}
