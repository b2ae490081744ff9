// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/poller.h"

void pace__wake(struct pace *pace, __u64 now_ns)
{
	*pace = (struct pace){ .next_ns = now_ns, .woken = true };
}

void pace__looked(struct pace *pace, bool found, bool at_once, __u64 now_ns)
{
	bool again = at_once && (found || pace->woken);

	*pace = (struct pace){ .next_ns = again ? now_ns + WAKE_NS : 0 };
}
