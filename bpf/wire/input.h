/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What has come from an agent and is no whole command yet. */
#ifndef WIRE_INPUT_H
#define WIRE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/commands.h"

#define INPUT_SIZE 16384

struct input {
	size_t used;
	uint8_t bytes[INPUT_SIZE];
};

/*
 * Hands all whole commands to `take`, in their order, and keeps the rest. A command's payload is valid within `take` only.
 * False where `take` returned false, or where the bytes are no command: then `why` has the reason, else it is NULL. After
 * false the input is of no use. After true there is room for at least one whole command more.
 */
bool input__take(struct input *input, bool (*take)(void *context, const struct command *command), void *context,
		 const char **why);

#endif
