/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * When to look for records. Waking the agent costs more than a record does, on the cores that applications use:
 * where few come they are let gather, where many come each look is worth its while and the next one is soon.
 *
 *   none ──one came──► busy for FIRST_NS ──► busy: a look every WAKE_NS
 *     ▲                               │        ▲ │
 *     │                               ▼        │ ▼    BUSY_RECORDS a window or more, or fewer
 *     └──────── an empty window ───── gathering: a look at the end of each window
 */
#ifndef PROBE_PACE_H
#define PROBE_PACE_H

#include <stdbool.h>

#include "kept.h"

#define WINDOW_NS 20000000
#define FIRST_NS 2000000
#define BUSY_RECORDS 40

struct pace {
	__u64 next_ns;   /* when to look again; 0: when the ring buffer says that something came */
	__u64 begin_ns;  /* of the window */
	__u64 length_ns; /* of the window */
	__u64 came;      /* records in the window */
	bool busy;
};

/* The ring buffer has said that something came: a look is due. */
void pace__begin(struct pace *pace, __u64 now_ns);

/* So many records were found, by a look or in passing. */
void pace__came(struct pace *pace, __u64 records);

/* A look that was due is done. */
void pace__looked(struct pace *pace, __u64 now_ns);

#endif
