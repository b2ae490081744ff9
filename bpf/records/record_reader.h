/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connection records: from the ring buffer to the agent. Without an agent they wait there for the next one. */
#ifndef RECORDS_RECORD_READER_H
#define RECORDS_RECORD_READER_H

#include "shared/pinned_maps.h"
#include "records/ledger.h"
#include "wire/output.h"
#include "records/poller.h"

struct ring_buffer;

struct record_reader {
	struct pinned_maps *maps;
	struct output *output;
	struct ring_buffer *ring;
	struct ledger ledger;
	struct poller poller;
	bool open;   /* whether an agent is connected */
	__u64 taken; /* since this probe's start */
};

/* 0, or -1 after saying why. */
int record_reader__make(struct record_reader *reader, struct pinned_maps *maps, struct output *output);

/* Readable once something has come: to be watched for edges, since it stays so while records gather. */
int record_reader__fd(const struct record_reader *reader);

/* An agent is connected, or is gone. */
void record_reader__open(struct record_reader *reader);
void record_reader__close(struct record_reader *reader);

/* Became readable: a poll is due. */
void record_reader__wake(struct record_reader *reader);

/* Puts all that have come into the output. */
void record_reader__take(struct record_reader *reader);

/* Whether it is time to poll, and a poll: takes, and decides when the next one is due. */
bool record_reader__is_due(const struct record_reader *reader);
void record_reader__poll(struct record_reader *reader);

/* The agent says what became of those that it was sent. */
void record_reader__report(struct record_reader *reader, const struct command_records *report);

#endif
