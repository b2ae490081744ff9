/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/self/cgroup: the name is a path that stands in the text. The same text as a file of bytes. */
#include "exchange/own_memory.h"

#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = text__copy(bytes, size), *kept = strdup(text);
	const char *name;
	bool is_v1;

	assert(kept);
	assert(own_memory__parse_bytes(text) < 1ULL << 62);
	name = own_memory__parse_name(text, &is_v1);
	assert(name ? name[0] == '/' && strstr(kept, name) : !is_v1);
	free(kept);
	free(text);
	return 0;
}
