/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* When the poller polls: once for each wake where records gather; where somebody waits, more for as long as some come. */
#include "records/poller.h"

#include <assert.h>
#include <stdio.h>

#define NOW 1000000000ULL
#define GATHER false
#define AT_ONCE true

static struct poller woken(void)
{
	struct poller poller = { 0 };

	poller__wake(&poller, NOW);
	assert(poller.next_ns == NOW);
	return poller;
}

static void a_wake_is_one_poll_where_records_gather(void)
{
	struct poller poller = woken();

	poller__polled(&poller, true, GATHER, NOW + 1);
	assert(poller.next_ns == 0);
}

static void where_somebody_waits_polls_go_on_until_one_finds_nothing(void)
{
	struct poller poller = woken();

	poller__polled(&poller, true, AT_ONCE, NOW + 1);
	assert(poller.next_ns == NOW + 1 + WAKE_NS);
	poller__polled(&poller, true, AT_ONCE, NOW + 1 + WAKE_NS);
	assert(poller.next_ns == NOW + 1 + 2 * WAKE_NS);
	poller__polled(&poller, false, AT_ONCE, NOW + 1 + 2 * WAKE_NS);
	assert(poller.next_ns == 0);
}

static void what_comes_soon_after_a_wake_is_polled_for_though_the_wake_found_nothing(void)
{
	struct poller poller = woken();

	poller__polled(&poller, false, AT_ONCE, NOW);
	assert(poller.next_ns == NOW + WAKE_NS);
	poller__polled(&poller, false, AT_ONCE, NOW + WAKE_NS);
	assert(poller.next_ns == 0);
}

int main(void)
{
	a_wake_is_one_poll_where_records_gather();
	where_somebody_waits_polls_go_on_until_one_finds_nothing();
	what_comes_soon_after_a_wake_is_polled_for_though_the_wake_found_nothing();
	puts("poller_test: ok");
	return 0;
}
