/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What became of every connection record that was sent to an agent. The sums are kept with the maps, so that a
 * record counts as lost whoever was killed with it, probe or agent:
 *
 *     sent = settled by the agent + with the agent + lost
 */
#ifndef RECORDS_LEDGER_H
#define RECORDS_LEDGER_H

#include <stdbool.h>

#include "contract/command.h"
#include "contract/pinned.h"

/* Of the connection to an agent. */
struct ledger {
	struct record_ledger *pinned;
	__u64 before;  /* sent before this connection */
	bool reported; /* whether the agent has reported on this connection */
};

/* A connection begins. */
void ledger__open(struct ledger *ledger, struct record_ledger *pinned);

/* A record is about to be sent: from here on it is lost unless the agent says otherwise. */
void ledger__send(struct ledger *ledger);

/* The agent says where it stands. @return how many records are lost that were not counted before */
__u64 ledger__report(struct ledger *ledger, const struct command_records *report);

#endif
