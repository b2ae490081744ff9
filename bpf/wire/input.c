/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Bytes as reads bring them, cut anywhere → whole commands. Pure: who reads, and what a command does, is the caller's. */
#include "wire/input.h"

#include <string.h>

_Static_assert(INPUT_SIZE >= 2 * COMMAND_LENGTH_MAX, "a whole command must always fit");

bool input__take(struct input *input, bool (*take)(void *context, const struct command *command), void *context,
		 const char **why)
{
	struct command command;
	size_t taken = 0;
	long length;

	*why = NULL;
	while ((length = command__parse(&command, input->bytes + taken, input->used - taken, why)) > 0) {
		if (!take(context, &command))
			return false;
		taken += (size_t)length;
	}
	if (length < 0)
		return false;
	memmove(input->bytes, input->bytes + taken, input->used - taken);
	input->used -= taken;
	return true;
}
