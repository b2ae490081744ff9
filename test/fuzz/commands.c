/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What an agent may send. The first 8 bytes say how reads cut the rest. Cut or whole, the same commands come out, the same
 * bytes are refused for the same reason, and rows wait for their flush as they came.
 */
#include <stdlib.h>
#include <string.h>

#include "exchange/rows.h"
#include "exchange/waiting_rows.h"
#include "fuzzing.h"
#include "wire/input.h"

#define FNV_PRIME 1099511628211ULL

/* What came out of a stream. */
struct outcome {
	size_t commands;
	size_t rows;
	uint64_t hash;
	const char *why;
	struct waiting_rows waiting;
};

static void outcome__hash(struct outcome *outcome, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		outcome->hash = (outcome->hash ^ ((const uint8_t *)bytes)[i]) * FNV_PRIME;
}

static bool command__take(void *context, const struct command *command)
{
	struct outcome *outcome = context;

	assert(command->length + sizeof(struct frame_header) <= COMMAND_LENGTH_MAX);
	outcome->commands++;
	outcome__hash(outcome, &command->kind, sizeof(command->kind));
	outcome__hash(outcome, command->payload, command->length);
	if (command->kind == COMMAND_SETTLE && waiting_rows__fit(&outcome->waiting, command->length)) {
		assert(waiting_rows__add(&outcome->waiting, command->payload, command->length));
		outcome->rows++;
	}
	return true;
}

/* Like xorshift64: how many bytes the next read brings. */
static size_t read__length(uint64_t *state, size_t room)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % room + 1;
}

/* @param cuts 0: each read brings as much as there is room for */
static void stream__take(struct outcome *outcome, const uint8_t *bytes, size_t size, uint64_t cuts)
{
	struct input *input = calloc(1, sizeof(*input));

	assert(input);
	for (size_t at = 0; at < size;) {
		size_t room = sizeof(input->bytes) - input->used;
		size_t length = cuts ? read__length(&cuts, room < 4096 ? room : 4096) : room;

		assert(room >= COMMAND_LENGTH_MAX);
		if (length > size - at)
			length = size - at;
		memcpy(input->bytes + input->used, bytes + at, length);
		input->used += length;
		at += length;
		if (!input__take(input, command__take, outcome, &outcome->why)) {
			assert(outcome->why);
			break;
		}
	}
	free(input);
}

/* Each waiting row becomes a settlement; the kernel trusts its key, its counters and its slots. */
static void rows__check(struct outcome *outcome)
{
	static struct settlement settlement;
	size_t at = 0, rows = 0;
	const char *row;

	while ((row = waiting_rows__next(&outcome->waiting, &at))) {
		settlement__fill(&settlement, row);
		assert(settlement.key.role >= ROLE_CLIENT && settlement.key.role <= ROLE_LISTENER);
		rows++;
	}
	assert(at == outcome->waiting.used && rows == outcome->rows);
	waiting_rows__forget(&outcome->waiting);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct outcome whole = { 0 }, cut = { 0 };
	uint64_t cuts;

	if (size < sizeof(cuts))
		return 0;
	memcpy(&cuts, bytes, sizeof(cuts));
	stream__take(&whole, bytes + sizeof(cuts), size - sizeof(cuts), 0);
	stream__take(&cut, bytes + sizeof(cuts), size - sizeof(cuts), cuts | 1);
	assert(whole.commands == cut.commands && whole.hash == cut.hash && whole.why == cut.why);
	rows__check(&whole);
	rows__check(&cut);
	return 0;
}
