/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The token bucket lets through its depth and then its rate, whatever order its times come in. */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>

#include "contract/pinned.h"
#include "common/tokens.h"

#define MS 1000000ULL
#define S (1000 * MS)

static const struct command_settings ASKED = { .records_per_s = 100, .records_burst = 1000 };

static unsigned taken_at(struct sampler *sampler, __u64 now, unsigned asked_for)
{
	unsigned taken = 0;

	while (asked_for--)
		taken += token__take(sampler, &ASKED, now);
	return taken;
}

static void a_burst_is_its_depth_and_then_its_rate(void)
{
	struct sampler sampler = { 0 };
	unsigned taken = 0;

	assert(taken_at(&sampler, 100 * S, 20000) == 1000);
	for (__u64 now = 100 * S; now < 110 * S; now += MS)
		taken += taken_at(&sampler, now, 20);
	assert(taken >= 999 && taken <= 1000);
}

/* A walk of 20 ms, whose every look bears its beginning, with a close on the same CPU every 2 ms. */
static void times_that_go_back_add_nothing(void)
{
	struct sampler sampler = { .filled_ns = 100 * S };
	unsigned taken = 0;

	for (__u64 now = 100 * S; now < 100 * S + 20 * MS; now += 2 * MS)
		taken += taken_at(&sampler, now, 1) + taken_at(&sampler, 100 * S, 2000);
	assert(taken <= 2);
}

static void without_a_rate_everything_passes(void)
{
	struct sampler sampler = { 0 };

	assert(token__take(&sampler, &(struct command_settings){ 0 }, 1));
}

int main(void)
{
	a_burst_is_its_depth_and_then_its_rate();
	times_that_go_back_add_nothing();
	without_a_rate_everything_passes();
	puts("tokens_test: ok");
	return 0;
}
