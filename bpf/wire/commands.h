/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Bytes from the agent, as commands. */
#ifndef WIRE_COMMANDS_H
#define WIRE_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "contract/command.h"
#include "contract/frames.h"

/* The longest command: COMMAND_SETTLE of an edge with something in every slot. */
#define COMMAND_LENGTH_MAX \
	(sizeof(struct frame_header) + sizeof(struct frame_edge) + SLOT_COUNT * sizeof(struct slot_growth))

/* More records than any agent is ever sent: sums with it stay in 64 bits. */
#define RECORDS_MAX (1ULL << 62)

/* One command. `payload` points into the bytes it was parsed from and has the length that `kind` calls for. */
struct command {
	enum frame_kind kind;
	const uint8_t *payload;
	size_t length;
};

/*
 * Parses the first command in `bytes`.
 *
 * Returns how many bytes it takes; 0 while it is not complete (never with COMMAND_LENGTH_MAX bytes or
 * more); -1 when these bytes can never become a command, with the reason in `why`.
 */
long command__parse(struct command *command, const uint8_t *bytes, size_t length, const char **why);

#endif
