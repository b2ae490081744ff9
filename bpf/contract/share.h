/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How much of a table one tenant may hold, and when idle entries leave early. Pure: kernel programs and probe ask it alike.
 *
 * A tenant may hold as many entries as are free, times a percentage. So one alone holds a half, n of them n of n + 1
 * parts, and something is free always: that is the "dynamic threshold" of shared switch buffers (Choudhury and Hahne, 1998).
 */
#ifndef CONTRACT_SHARE_H
#define CONTRACT_SHARE_H

#include "contract/types.h"

#define SHARE_PERCENT_DEFAULT 100
#define SHARE_PERCENT_MAX 10000

/* At 80 % of its share, or of the table, idle edges leave after this time already. */
#define PRESSED_IDLE_NS 5000000000ULL

/* @return how many entries one tenant may hold while `used` of `capacity` are taken by all */
static inline __attribute__((always_inline)) __u64 share__limit(__u64 capacity, __u64 used, __u32 percent)
{
	return capacity > used ? (capacity - used) * (percent ?: SHARE_PERCENT_DEFAULT) / 100 : 0;
}

/* @return whether so many of `limit` are so many that what is idle should go */
static inline __attribute__((always_inline)) bool share__is_pressed(__u64 held, __u64 limit)
{
	return held * 5 >= limit * 4;
}

/* @param is_pressed the tenant's share, or the table. @return after which time an idle edge may go */
static inline __attribute__((always_inline)) __u64 share__idle_ns(__u64 asked_ns, bool is_pressed)
{
	return is_pressed && asked_ns > PRESSED_IDLE_NS ? PRESSED_IDLE_NS : asked_ns;
}

#endif
