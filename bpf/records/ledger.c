// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/ledger.h"

void ledger__open(struct ledger *ledger, struct record_ledger *pinned)
{
	*ledger = (struct ledger){ .pinned = pinned, .before = pinned->sent };
}

void ledger__send(struct ledger *ledger)
{
	ledger->pinned->sent++;
}

/* The first word on a connection: what was sent before it and is in nobody's hands is lost. */
static __u64 ledger__begin(struct ledger *ledger, const struct command_records *report)
{
	struct record_ledger *pinned = ledger->pinned;
	/* An agent that lives on still has what came to it; one that does not has at most what it settled. */
	__u64 safe = report->agent == pinned->agent ? report->received : pinned->settled;
	__u64 lost = ledger->before > safe ? ledger->before - safe : 0;

	pinned->agent = report->agent;
	pinned->sent = report->received + (pinned->sent - ledger->before);
	ledger->reported = true;
	return lost;
}

__u64 ledger__report(struct ledger *ledger, const struct command_records *report)
{
	__u64 lost = ledger->reported ? 0 : ledger__begin(ledger, report);

	ledger->pinned->settled = report->settled;
	return lost;
}
