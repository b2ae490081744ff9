/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/PID/net/stat: each number that is passed on has a name that stands in the first line. */
#include "exchange/proc_stat.h"

#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"

static void column__take(void *context, const char *name, __u64 number)
{
	(void)number;
	assert(name[0] && strlen(name) < 1024);
	assert(strstr(context, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = text__copy(bytes, size), *kept = strdup(text);

	assert(kept);
	proc_stat__parse(text, column__take, kept);
	free(kept);
	free(text);
	return 0;
}
