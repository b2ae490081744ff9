/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Texts of others (arguments, paths, links' targets) inside a log line. The first two bytes say how much room there is.
 * Whatever the text, the line stays one line of JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"
#include "shared/log.h"

/* Inside of a JSON string nothing ends it, and no control character stands in it. */
static void string__judge(const char *text)
{
	for (; *text; text++) {
		assert((unsigned char)*text >= 0x20 && *text != '"');
		if (*text != '\\')
			continue;
		text++;
		assert(*text == '"' || *text == '\\' || *text == 'u');
		if (*text == 'u') {
			assert(strspn(text + 1, "0123456789abcdef") >= 4);
			text += 4;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t room = size < 2 ? 1 : 1 + bytes[0] + 256U * (bytes[1] % 8);
	char *text = size < 2 ? text__copy(bytes, 0) : text__copy(bytes + 2, size - 2), *out = malloc(room);
	unsigned long used;

	assert(out);
	used = json__escape(out, room, 0, text);
	assert(used < room && out[used] == '\0' && strlen(out) == used);
	assert(used >= strlen(text) || used + 7 >= room);
	string__judge(out);
	free(out);
	free(text);
	return 0;
}
