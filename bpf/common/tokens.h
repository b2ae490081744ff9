/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The token bucket of each CPU: what bounds a storm of records. Pure.
 *
 * A tenant gets a token only while it has had no more of late than are left. So many failures of one leave tokens for the
 * others: one alone gets the whole rate, and a half of the depth at once; n of them share the rate. Of late: its count is halved in
 * the time in which a quarter of the depth comes.
 */
#ifndef COMMON_TOKENS_H
#define COMMON_TOKENS_H

#include "contract/command.h"
#include "contract/pinned.h"
#include "contract/types.h"

/* Halves what the tenant has had, once for each period that has passed. */
static inline __attribute__((always_inline)) void tenant_records__fade(struct tenant_records *own,
								       const struct command_settings *asked, __u64 now)
{
	__u64 period_ns = (__u64)asked->records_burst * 250000000 / asked->records_per_s + 1;
	__u64 periods = now > own->since_ns ? (now - own->since_ns) / period_ns : 0;

	if (!periods)
		return;
	own->taken = periods < 64 ? own->taken >> periods : 0;
	own->since_ns += periods * period_ns;
}

/*
 * Takes a token for a tenant. `now` may lie before the last filling: a walk's time is that of its beginning, and a softirq may
 * come between a close and here. Then nothing is added.
 */
static inline __attribute__((always_inline)) bool token__take(struct sampler *sampler, struct tenant_records *own,
							      const struct command_settings *asked, __u64 now)
{
	__u64 depth = (__u64)asked->records_burst * 1000;
	__u64 since_us = now > sampler->filled_ns ? (now - sampler->filled_ns) / 1000 : 0;

	if (!asked->records_per_s)
		return true;
	if (since_us > 1000000000)
		since_us = 1000000000; /* so that the product below stays in 64 bits */
	if (since_us * asked->records_per_s >= 1000) {
		sampler->tokens += since_us * asked->records_per_s / 1000;
		if (sampler->tokens > depth)
			sampler->tokens = depth;
		sampler->filled_ns = now;
	}
	tenant_records__fade(own, asked, now);
	if (sampler->tokens < 1000 || own->taken * 1000 >= sampler->tokens)
		return false;
	own->taken++;
	sampler->tokens -= 1000;
	return true;
}

#endif
