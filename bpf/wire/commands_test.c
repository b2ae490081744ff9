/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The command parser under arbitrary bytes: it never reads past the end (the sanitizers watch), never
 * waits for more than a command can be, and gives the same commands however the bytes are split.
 */
#include "wire/commands.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 20000

static uint64_t seed = 23;

static uint32_t random__next(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33);
}

/* Parses a copy that ends where the bytes end, so that one byte too far is seen. */
static long parse(struct command *command, const uint8_t *bytes, size_t length, const char **why)
{
	uint8_t *copy = malloc(length ? length : 1);
	long result;

	memcpy(copy, bytes, length);
	result = command__parse(command, copy, length, why);
	free(copy);
	return result;
}

/* A valid COMMAND_SETTLE with `slots` slots. Returns its length. */
static size_t settle__make(uint8_t *bytes, uint32_t slots)
{
	struct frame_edge edge = { .key.role = ROLE_SERVER, .slot_count = slots };
	struct frame_header header = {
		.kind = COMMAND_SETTLE,
		.length = (uint32_t)(sizeof(edge) + slots * sizeof(struct slot_growth)),
	};
	size_t at = sizeof(header) + sizeof(edge);

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &edge, sizeof(edge));
	for (uint32_t slot = 0; slot < slots; slot++, at += sizeof(struct slot_growth))
		memcpy(bytes + at, &(struct slot_growth){ .slot = slot, .count = 1 }, sizeof(struct slot_growth));
	return at;
}

static void arbitrary_bytes_are_a_command_incomplete_or_refused(void)
{
	uint8_t bytes[COMMAND_LENGTH_MAX];
	struct command command;

	for (int round = 0; round < ROUNDS; round++) {
		size_t length = random__next() % 64;
		const char *why = NULL;
		long result;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)random__next();
		if (round % 2 && length >= 8) { /* a likely header, so that payloads are reached */
			uint32_t claimed = random__next() % 64;

			memcpy(bytes, &claimed, 4);
			bytes[4] = (uint8_t)(COMMAND_EXCHANGE + random__next() % 7);
			bytes[5] = bytes[6] = bytes[7] = 0;
		}
		result = parse(&command, bytes, length, &why);
		assert(result >= -1 && result <= (long)length);
		assert((result == -1) == (why != NULL) || result == 0);
	}
}

static void a_full_buffer_is_never_incomplete(void)
{
	uint8_t bytes[COMMAND_LENGTH_MAX];
	struct command command;
	const char *why;

	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)random__next();
		if (round % 2) {
			uint32_t claimed = random__next() % (2 * COMMAND_LENGTH_MAX);

			memcpy(bytes, &claimed, 4);
			memcpy(bytes + 4, &(uint32_t){ COMMAND_SETTLE }, 4);
		}
		assert(parse(&command, bytes, sizeof(bytes), &why) != 0);
	}
}

static void a_command_is_the_same_at_every_split(void)
{
	uint8_t bytes[COMMAND_LENGTH_MAX];
	size_t length = settle__make(bytes, 23);
	struct command command;
	const char *why;

	for (size_t part = 0; part < length; part++)
		assert(parse(&command, bytes, part, &why) == 0);
	assert(command__parse(&command, bytes, length, &why) == (long)length);
	assert(command.kind == COMMAND_SETTLE && command.payload == bytes + sizeof(struct frame_header));
	assert(command.length == length - sizeof(struct frame_header));
}

static void a_row_with_something_in_every_slot_fits(void)
{
	uint8_t bytes[COMMAND_LENGTH_MAX];
	struct command command;
	const char *why;

	assert(settle__make(bytes, SLOT_COUNT) == COMMAND_LENGTH_MAX);
	assert(parse(&command, bytes, COMMAND_LENGTH_MAX, &why) == (long)COMMAND_LENGTH_MAX);
}

static void a_slot_past_the_histograms_is_refused(void)
{
	uint8_t bytes[COMMAND_LENGTH_MAX];
	size_t length = settle__make(bytes, 1);
	struct command command;
	const char *why;

	memcpy(bytes + length - sizeof(struct slot_growth), &(uint32_t){ SLOT_COUNT }, 4);
	assert(parse(&command, bytes, length, &why) == -1);
	assert(strcmp(why, "COMMAND_SETTLE names a slot past the histograms") == 0);
}

static void more_settled_than_received_is_refused(void)
{
	struct command_records report = { .agent = 23, .received = 4, .settled = 5 };
	struct frame_header header = { .kind = COMMAND_RECORDS, .length = sizeof(report) };
	uint8_t bytes[sizeof(header) + sizeof(report)];
	struct command command;
	const char *why;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &report, sizeof(report));
	assert(parse(&command, bytes, sizeof(bytes), &why) == -1);
	assert(strcmp(why, "COMMAND_RECORDS: more settled than received") == 0);
	report.settled = 4;
	memcpy(bytes + sizeof(header), &report, sizeof(report));
	assert(parse(&command, bytes, sizeof(bytes), &why) == (long)sizeof(bytes));
}

int main(void)
{
	arbitrary_bytes_are_a_command_incomplete_or_refused();
	a_full_buffer_is_never_incomplete();
	a_command_is_the_same_at_every_split();
	a_row_with_something_in_every_slot_fits();
	a_slot_past_the_histograms_is_refused();
	more_settled_than_received_is_refused();
	puts("commands_test: ok");
	return 0;
}
