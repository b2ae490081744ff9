// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "pace.h"

void pace__begin(struct pace *pace, __u64 now_ns)
{
	*pace = (struct pace){ .next_ns = now_ns, .begin_ns = now_ns, .length_ns = FIRST_NS, .busy = true };
}

void pace__came(struct pace *pace, __u64 records)
{
	pace->came += records;
}

void pace__looked(struct pace *pace, __u64 now_ns)
{
	__u64 elapsed_ns = now_ns - pace->begin_ns;

	if (elapsed_ns >= pace->length_ns) {
		if (!pace->came) {
			*pace = (struct pace){ 0 };
			return;
		}
		pace->busy = pace->came * WINDOW_NS >= BUSY_RECORDS * elapsed_ns;
		pace->begin_ns = now_ns;
		pace->length_ns = WINDOW_NS;
		pace->came = 0;
	}
	pace->next_ns = pace->busy ? now_ns + WAKE_NS : pace->begin_ns + pace->length_ns;
}
