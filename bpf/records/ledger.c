// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/ledger.h"

void ledger__open(struct ledger *ledger, struct record_ledger *kept)
{
	*ledger = (struct ledger){ .kept = kept, .before = kept->sent };
}

void ledger__send(struct ledger *ledger)
{
	ledger->kept->sent++;
}

/* The first word on a connection: what was sent before it and is in nobody's hands is lost. */
static __u64 ledger__begin(struct ledger *ledger, const struct command_records *told)
{
	struct record_ledger *kept = ledger->kept;
	/* An agent that lives on still has what came to it; one that does not has at most what it settled. */
	__u64 safe = told->agent == kept->agent ? told->received : kept->settled;
	__u64 lost = ledger->before > safe ? ledger->before - safe : 0;

	kept->agent = told->agent;
	kept->sent = told->received + (kept->sent - ledger->before);
	ledger->told = true;
	return lost;
}

__u64 ledger__tell(struct ledger *ledger, const struct command_records *told)
{
	__u64 lost = ledger->told ? 0 : ledger__begin(ledger, told);

	ledger->kept->settled = told->settled;
	return lost;
}
