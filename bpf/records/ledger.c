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

static __u64 within(__u64 value, __u64 least, __u64 most)
{
	return value > most ? most : value < least ? least : value;
}

/*
 * The first word on a connection: what was sent before it and is in nobody's hands is lost. No word makes more lost than was
 * sent: what another agent says to have had before is none of these maps' that could be lost once more.
 */
static __u64 ledger__begin(struct ledger *ledger, const struct command_records *report)
{
	struct record_ledger *pinned = ledger->pinned;
	bool lives_on = report->agent == pinned->agent;
	__u64 received = lives_on ? within(report->received, pinned->settled, ledger->before) : report->received;
	/* An agent that lives on still has what came to it; one that does not has at most what it settled. */
	__u64 safe = lives_on ? received : pinned->settled;
	__u64 lost = ledger->before > safe ? ledger->before - safe : 0;

	pinned->agent = report->agent;
	pinned->sent = received + (pinned->sent - ledger->before);
	if (!lives_on)
		pinned->settled = received;
	ledger->reported = true;
	return lost;
}

__u64 ledger__report(struct ledger *ledger, const struct command_records *report)
{
	__u64 lost = ledger->reported ? 0 : ledger__begin(ledger, report);

	ledger->pinned->settled = within(report->settled, ledger->pinned->settled, ledger->pinned->sent);
	return lost;
}
