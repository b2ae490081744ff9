/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * When to read the ring buffer of records. A wake costs more than a record does, on the cores that applications use.
 * So records gather there: the kernel wakes us when as many have come as one write takes (RECORDS_WAKE_BYTES), and once a second
 * we read it anyway. Where somebody waits for them (command_settings.records_at_once), each CPU wakes us once in WAKE_NS,
 * and we poll again by ourselves for as long as something comes.
 */
#ifndef RECORDS_POLLER_H
#define RECORDS_POLLER_H

#include <stdbool.h>

#include "contract/pinned.h"

struct poller {
	__u64 next_ns; /* when to poll; 0: when the kernel wakes us, or the second is over */
	bool woken;    /* since the last poll: what has come less than WAKE_NS after that wakes nobody */
};

/* The kernel says that records are there: a poll is due. */
void poller__wake(struct poller *poller, __u64 now_ns);

/* A poll that was due is done, and has found something or not. */
void poller__polled(struct poller *poller, bool found, bool at_once, __u64 now_ns);

#endif
