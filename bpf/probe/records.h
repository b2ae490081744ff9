/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connection records: from the ring buffer to the agent. Without an agent they wait there for the next one. */
#ifndef PROBE_RECORDS_H
#define PROBE_RECORDS_H

#include "kept_maps.h"
#include "ledger.h"
#include "output.h"
#include "pace.h"

struct ring_buffer;

struct records {
	struct kept *kept;
	struct output *output;
	struct ring_buffer *ring;
	struct ledger ledger;
	struct pace pace;
	bool open;   /* whether an agent is connected */
	__u64 taken; /* since this probe's start */
};

/* 0, or -1 after saying why. */
int records__make(struct records *records, struct kept *kept, struct output *output);

/* Readable once something has come. */
int records__fd(const struct records *records);

/* An agent is connected, or is gone. */
void records__open(struct records *records);
void records__close(struct records *records);

/* Readable: from now on we look for ourselves, until a look finds nothing. Watch the file descriptor no more. */
void records__begin(struct records *records);

/* Puts all that have come into the output. */
void records__take(struct records *records);

/* Whether it is time to look; records__looked() says that this was done. */
bool records__is_due(const struct records *records);
void records__looked(struct records *records);

/* The agent says what became of those that it was sent. */
void records__tell(struct records *records, const struct command_records *told);

#endif
