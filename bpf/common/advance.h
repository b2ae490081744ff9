/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A counter that the kernel keeps, and the value of it that was counted last: only growth between the two is counted, once.
 *
 * Several CPUs may count one counter at once. Each tries to move the last value forward by compare-and-swap; only the
 * winner adds the difference.
 */
#ifndef COMMON_ADVANCE_H
#define COMMON_ADVANCE_H

#include "common/maps.h"

#define CAS_ATTEMPTS 8

/* @return how far `*counted` moved to reach `now`: 0 when another CPU counted it, or it is no growth */
static __always_inline __u64 advance(__u64 *counted, __u64 now)
{
	int i;

	for (i = 0; i < CAS_ATTEMPTS; i++) {
		__u64 old = *(volatile __u64 *)counted;

		if (now <= old)
			return 0;
		if (__sync_val_compare_and_swap(counted, old, now) == old)
			return now - old;
	}
	loss__count(LOSS_COUNTER_CONTENDED);
	return 0;
}

/* The same for the kernel's 32-bit counters, which wrap. */
static __always_inline __u32 advance32(__u32 *counted, __u32 now)
{
	int i;

	for (i = 0; i < CAS_ATTEMPTS; i++) {
		__u32 old = *(volatile __u32 *)counted;

		if ((__s32)(now - old) <= 0)
			return 0;
		if (__sync_val_compare_and_swap(counted, old, now) == old)
			return now - old;
	}
	loss__count(LOSS_COUNTER_CONTENDED);
	return 0;
}

#endif
