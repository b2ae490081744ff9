/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Lines of /proc/PID/net/tcp and tcp6. A place that was read is read again from what the kernel would print for it. */
#include "load/proc_tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzzing.h"

static int address__print(char *out, size_t size, const __u8 address[16])
{
	__u32 words[4];

	memcpy(words, address, sizeof(words));
	return snprintf(out, size, "%08X%08X%08X%08X", words[0], words[1], words[2], words[3]);
}

static void place__judge(const struct socket_place *place)
{
	struct socket_place again = { .netns = place->netns };
	char local[33], remote[33], line[512];

	address__print(local, sizeof(local), place->local);
	address__print(remote, sizeof(remote), place->remote);
	snprintf(line, sizeof(line),
		 "   0: %s:%04X %s:%04X 01 00000000:00000000 00:00000000 00000000     0        0 23 1", local,
		 place->local_port, remote, place->remote_port);
	assert(proc_tcp__parse(&again, line));
	assert(memcmp(&again, place, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = text__copy(bytes, size), *state;

	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		struct socket_place place;
		char *copy = strdup(line);

		assert(copy);
		memset(&place, 0, sizeof(place));
		if (proc_tcp__parse(&place, copy))
			place__judge(&place);
		free(copy);
	}
	free(text);
	return 0;
}
