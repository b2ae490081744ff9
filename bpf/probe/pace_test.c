/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The pace of looks: rare while few records come, soon after each other while many do, none while none do. */
#include "pace.h"

#include <assert.h>
#include <stdio.h>

#define NOW 1000000000ULL

/* Looks when they are due until `end_ns`, where `per_ms` records come. @return how many looks it took */
static unsigned looks_until(struct pace *pace, __u64 end_ns, __u64 per_ms)
{
	__u64 last_ns = pace->busy ? pace->next_ns - WAKE_NS : pace->begin_ns;
	__u64 found = last_ns * per_ms / 1000000;
	unsigned looks = 0;

	while (pace->next_ns && pace->next_ns <= end_ns) {
		__u64 now_ns = pace->next_ns, all = now_ns * per_ms / 1000000;

		pace__came(pace, all - found);
		pace__looked(pace, now_ns);
		found = all;
		looks++;
	}
	return looks;
}

/* One record has come at NOW, and was found. */
static struct pace begun(void)
{
	struct pace pace = { 0 };

	pace__begin(&pace, NOW);
	assert(pace.next_ns == NOW);
	pace__came(&pace, 1);
	pace__looked(&pace, NOW);
	return pace;
}

static void one_record_is_taken_at_once_and_soon_nothing_is_looked_for(void)
{
	struct pace pace = begun();

	assert(looks_until(&pace, NOW + FIRST_NS, 0) == FIRST_NS / WAKE_NS);
	assert(!pace.busy && pace.next_ns == NOW + FIRST_NS + WINDOW_NS);
	pace__looked(&pace, pace.next_ns);
	assert(pace.next_ns == 0);
}

static void few_records_cost_a_look_a_window(void)
{
	struct pace pace = begun();

	looks_until(&pace, NOW + FIRST_NS, 1);
	assert(looks_until(&pace, NOW + FIRST_NS + 50ULL * WINDOW_NS, 1) == 50);
	assert(!pace.busy);
}

static void many_records_are_looked_for_every_wake_from_the_first_on(void)
{
	struct pace pace = begun();

	assert(looks_until(&pace, NOW + 10ULL * WINDOW_NS, 10) == 10 * WINDOW_NS / WAKE_NS);
	assert(pace.busy);
}

static void few_that_become_many_are_looked_for_often_within_a_window(void)
{
	struct pace pace = begun();

	looks_until(&pace, NOW + 5ULL * WINDOW_NS, 1);
	assert(!pace.busy);
	looks_until(&pace, NOW + 6ULL * WINDOW_NS, 10);
	assert(pace.busy);
}

static void when_many_become_few_looks_are_rare_again_and_then_end(void)
{
	struct pace pace = begun();

	looks_until(&pace, NOW + 5ULL * WINDOW_NS, 10);
	assert(pace.busy);
	looks_until(&pace, NOW + 8ULL * WINDOW_NS, 1);
	assert(!pace.busy && pace.next_ns);
	looks_until(&pace, NOW + 12ULL * WINDOW_NS, 0);
	assert(pace.next_ns == 0);
}

static void what_was_found_in_passing_counts_and_puts_nothing_off(void)
{
	struct pace pace = begun();
	__u64 due_ns;

	looks_until(&pace, NOW + FIRST_NS, 0);
	due_ns = pace.next_ns;
	pace__came(&pace, BUSY_RECORDS);
	assert(pace.next_ns == due_ns);
	pace__looked(&pace, due_ns);
	assert(pace.busy);
}

int main(void)
{
	one_record_is_taken_at_once_and_soon_nothing_is_looked_for();
	few_records_cost_a_look_a_window();
	many_records_are_looked_for_every_wake_from_the_first_on();
	few_that_become_many_are_looked_for_often_within_a_window();
	when_many_become_few_looks_are_rare_again_and_then_end();
	what_was_found_in_passing_counts_and_puts_nothing_off();
	puts("pace_test: ok");
	return 0;
}
