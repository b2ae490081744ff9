/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Values in microseconds to slots of a base-2 exponential histogram at scale 2.
 *
 * OTLP's mapping (data model, "Exponential Buckets"): upper bounds are inclusive. Exact: no rounding
 * puts a value into the wrong bucket.
 */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include "kernel/helpers.h"

/* 2^(1/4), 2^(2/4), 2^(3/4) in units of 2^-32, rounded down: irrational, so no value is equal to them. */
#define FOURTH_ROOT_1 5107605667ULL
#define FOURTH_ROOT_2 6074000999ULL
#define FOURTH_ROOT_3 7223245205ULL
#define ONE (1ULL << 32)

static __always_inline __u32 floor_log2(__u64 value)
{
	__u32 log = 0;

	if (value >> 32) {
		value >>= 32;
		log += 32;
	}
	if (value >> 16) {
		value >>= 16;
		log += 16;
	}
	if (value >> 8) {
		value >>= 8;
		log += 8;
	}
	if (value >> 4) {
		value >>= 4;
		log += 4;
	}
	if (value >> 2) {
		value >>= 2;
		log += 2;
	}
	return log + (__u32)(value >> 1);
}

/* @return the slot of `value_us` in a histogram of `slots` slots; the last one takes what is beyond it */
static __always_inline __u32 histogram__slot(__u64 value_us, __u32 slots)
{
	__u32 log, slot;
	__u64 mantissa;

	if (value_us < 2)
		return 0;
	log = floor_log2(value_us);
	mantissa = log <= 32 ? value_us << (32 - log) : value_us >> (log - 32);
	slot = 4 * log;
	if (mantissa == ONE)
		slot--;
	else if (mantissa > FOURTH_ROOT_3)
		slot += 3;
	else if (mantissa > FOURTH_ROOT_2)
		slot += 2;
	else if (mantissa > FOURTH_ROOT_1)
		slot += 1;
	return slot < slots ? slot : slots - 1;
}

#endif
