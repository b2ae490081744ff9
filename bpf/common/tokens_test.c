/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The token bucket lets through its rate, whatever order its times come in, and a storm of one tenant or of many leaves
 * tokens for those that take few.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>

#include "contract/pinned.h"
#include "common/tokens.h"

#define MS 1000000ULL
#define S (1000 * MS)

static const struct command_settings ASKED = { .records_per_s = 100, .records_burst = 1000 };

static unsigned taken_by(struct tenant_records *own, struct sampler *sampler, __u64 now, unsigned asked_for)
{
	unsigned taken = 0;

	while (asked_for--)
		taken += token__take(sampler, own, &ASKED, now);
	return taken;
}

static void a_burst_of_one_is_half_of_the_depth_and_then_the_whole_rate(void)
{
	struct tenant_records own = { 0 };
	struct sampler sampler = { 0 };
	unsigned taken = 0;

	assert(taken_by(&own, &sampler, 100 * S, 20000) == 500);
	for (__u64 now = 100 * S; now < 200 * S; now += MS)
		taken += taken_by(&own, &sampler, now, 20);
	assert(taken >= 100 * 100 && taken <= 100 * 100 + 500);
}

static void many_take_the_depth_at_once_and_no_more(void)
{
	struct tenant_records tenants[2000] = { 0 };
	struct sampler sampler = { 0 };
	unsigned taken = 0;

	for (unsigned i = 0; i < 2000; i++)
		taken += taken_by(&tenants[i], &sampler, 100 * S, 1);
	assert(taken == 1000);
}

/* @return how many of those that a tenant asks for, one in 200 ms, it gets while `storms` others ask for all they can */
static unsigned quiet_one_gets(unsigned storms)
{
	struct tenant_records storm[10] = { 0 }, quiet = { 0 };
	struct sampler sampler = { 0 };
	unsigned got = 0;

	for (__u64 now = 100 * S; now < 160 * S; now += MS) {
		for (unsigned i = 0; i < storms; i++)
			taken_by(&storm[i], &sampler, now, 20);
		if (now % (200 * MS) == 0)
			got += taken_by(&quiet, &sampler, now, 1);
	}
	return got;
}

static void a_storm_leaves_tokens_for_those_that_take_few(void)
{
	assert(quiet_one_gets(0) == 300);
	assert(quiet_one_gets(1) == 300);
	assert(quiet_one_gets(3) == 300);
	assert(quiet_one_gets(10) == 300);
}

/* A walk of 20 ms, whose every look bears its beginning, with a close on the same CPU every 2 ms. */
static void times_that_go_back_add_nothing(void)
{
	struct tenant_records one = { 0 }, other = { 0 };
	struct sampler sampler = { .filled_ns = 100 * S };
	unsigned taken = 0;

	for (__u64 now = 100 * S; now < 100 * S + 20 * MS; now += 2 * MS)
		taken += taken_by(&one, &sampler, now, 1) + taken_by(&other, &sampler, 100 * S, 2000);
	assert(taken <= 2);
}

static void without_a_rate_everything_passes(void)
{
	struct tenant_records own = { 0 };
	struct sampler sampler = { 0 };

	assert(token__take(&sampler, &own, &(struct command_settings){ 0 }, 1));
}

int main(void)
{
	a_burst_of_one_is_half_of_the_depth_and_then_the_whole_rate();
	many_take_the_depth_at_once_and_no_more();
	a_storm_leaves_tokens_for_those_that_take_few();
	times_that_go_back_add_nothing();
	without_a_rate_everything_passes();
	puts("tokens_test: ok");
	return 0;
}
