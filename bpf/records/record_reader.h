/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connection records: from the ring buffer to the agent. Without an agent they wait there for the next one. */
#ifndef RECORDS_RECORD_READER_H
#define RECORDS_RECORD_READER_H

#include "shared/pinned_maps.h"
#include "records/ledger.h"
#include "wire/output.h"
#include "records/poller.h"

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

/* Readable once something has come: to be watched for edges, since it stays so while records gather. */
int records__fd(const struct records *records);

/* An agent is connected, or is gone. */
void records__open(struct records *records);
void records__close(struct records *records);

/* Became readable: a look is due. */
void records__wake(struct records *records);

/* Puts all that have come into the output. */
void records__take(struct records *records);

/* Whether it is time to look, and a look: takes, and decides when the next one is due. */
bool records__is_due(const struct records *records);
void records__look(struct records *records);

/* The agent says what became of those that it was sent. */
void records__tell(struct records *records, const struct command_records *told);

#endif
