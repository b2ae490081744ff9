// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "records/poller.h"

void poller__wake(struct poller *poller, __u64 now_ns)
{
	*poller = (struct poller){ .next_ns = now_ns, .woken = true };
}

void poller__polled(struct poller *poller, bool found, bool at_once, __u64 now_ns)
{
	bool again = at_once && (found || poller->woken);

	*poller = (struct poller){ .next_ns = again ? now_ns + WAKE_NS : 0 };
}
