/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/PID/net/snmp and netstat. What was taken for whole names each counter. */
#include "exchange/proc_snmp.h"

#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"

static const char *const names[] = { "OutNoRoutes", "ActiveOpens",     "PassiveOpens", "AttemptFails",
				     "EstabResets", "InSegs",          "OutSegs",      "RetransSegs",
				     "OutRsts",     "ListenOverflows", "ListenDrops" };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = text__copy(bytes, size), *kept = strdup(text);
	struct frame_namespace frame = { .netns = 23 };

	assert(kept);
	if (proc_snmp__parse(&frame, text)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			assert(strstr(kept, names[i]));
	}
	assert(frame.netns == 23 && frame.pid == 0 && frame.cookie == 0);
	free(kept);
	free(text);
	return 0;
}
