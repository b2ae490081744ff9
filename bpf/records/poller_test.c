/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The pace of looks: one for each wake where records gather; where somebody waits, more for as long as some come. */
#include "records/poller.h"

#include <assert.h>
#include <stdio.h>

#define NOW 1000000000ULL
#define GATHER false
#define AT_ONCE true

static struct pace woken(void)
{
	struct pace pace = { 0 };

	pace__wake(&pace, NOW);
	assert(pace.next_ns == NOW);
	return pace;
}

static void a_wake_is_one_look_where_records_gather(void)
{
	struct pace pace = woken();

	pace__looked(&pace, true, GATHER, NOW + 1);
	assert(pace.next_ns == 0);
}

static void where_somebody_waits_looks_go_on_until_one_finds_nothing(void)
{
	struct pace pace = woken();

	pace__looked(&pace, true, AT_ONCE, NOW + 1);
	assert(pace.next_ns == NOW + 1 + WAKE_NS);
	pace__looked(&pace, true, AT_ONCE, NOW + 1 + WAKE_NS);
	assert(pace.next_ns == NOW + 1 + 2 * WAKE_NS);
	pace__looked(&pace, false, AT_ONCE, NOW + 1 + 2 * WAKE_NS);
	assert(pace.next_ns == 0);
}

static void what_comes_soon_after_a_wake_is_looked_for_though_the_wake_found_nothing(void)
{
	struct pace pace = woken();

	pace__looked(&pace, false, AT_ONCE, NOW);
	assert(pace.next_ns == NOW + WAKE_NS);
	pace__looked(&pace, false, AT_ONCE, NOW + WAKE_NS);
	assert(pace.next_ns == 0);
}

int main(void)
{
	a_wake_is_one_look_where_records_gather();
	where_somebody_waits_looks_go_on_until_one_finds_nothing();
	what_comes_soon_after_a_wake_is_looked_for_though_the_wake_found_nothing();
	puts("pace_test: ok");
	return 0;
}
