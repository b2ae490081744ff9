/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The token bucket of each CPU: what bounds a storm of records. */
#ifndef COMMON_TOKENS_H
#define COMMON_TOKENS_H

#include "contract/command.h"
#include "contract/pinned.h"
#include "contract/types.h"

/*
 * Takes a token. `now` may lie before the last filling: a walk's time is that of its beginning, and a softirq may
 * come between a close and here. Then nothing is added.
 */
static inline __attribute__((always_inline)) bool token__take(struct sampler *sampler,
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
	if (sampler->tokens < 1000)
		return false;
	sampler->tokens -= 1000;
	return true;
}

#endif
