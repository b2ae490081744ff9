/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The command parser: bytes in, one checked command out. Pure, so that arbitrary bytes can be thrown at
 * it in a test (commands_test.c). Every value that later indexes or selects something is checked here.
 */
#include "wire/commands.h"

#include <string.h>

#include "contract/share.h"

#define IDLE_NS_MAX (366ULL * 24 * 3600 * 1000000000ULL)

/* Copies a struct out of the payload, which need not be aligned. */
#define payload__take(into, bytes) memcpy(&(into), (bytes), sizeof(into))

static const char *settle__problem(const uint8_t *payload, size_t length)
{
	struct frame_edge edge;
	struct slot_growth growth;

	if (length < sizeof(edge))
		return "COMMAND_SETTLE is shorter than a row";
	payload__take(edge, payload);
	if (edge.slot_count > SLOT_COUNT || length != sizeof(edge) + edge.slot_count * sizeof(growth))
		return "COMMAND_SETTLE's slot_count does not match its length";
	if (edge.key.role < ROLE_CLIENT || edge.key.role > ROLE_LISTENER)
		return "COMMAND_SETTLE names no known role";
	for (uint32_t i = 0; i < edge.slot_count; i++) {
		payload__take(growth, payload + sizeof(edge) + i * sizeof(growth));
		if (growth.slot >= SLOT_COUNT)
			return "COMMAND_SETTLE names a slot past the histograms";
	}
	return NULL;
}

static const char *settle_evidence__problem(size_t length)
{
	return length == sizeof(struct frame_evidence) ? NULL : "COMMAND_SETTLE_EVIDENCE has the wrong length";
}

static const char *prefix_rule__problem(const uint8_t *payload, size_t length)
{
	struct command_prefix_rule rule;

	if (length != sizeof(rule))
		return "COMMAND_PREFIX_RULE has the wrong length";
	payload__take(rule, payload);
	if (rule.prefix_length > 128)
		return "COMMAND_PREFIX_RULE's prefix_length is more than 128";
	if (rule.flags & ~(uint32_t)(PREFIX_RULE_FIRST | PREFIX_RULE_COLLAPSE))
		return "COMMAND_PREFIX_RULE has unknown flags";
	return NULL;
}

static const char *settings__problem(const uint8_t *payload, size_t length)
{
	struct command_settings settings;

	if (length != sizeof(settings))
		return "COMMAND_SETTINGS has the wrong length";
	payload__take(settings, payload);
	if (settings.records > 1 || settings.adaptive > 1 || settings.records_at_once > 1)
		return "COMMAND_SETTINGS: records, adaptive and records_at_once must be 0 or 1";
	if (settings.idle_ns > IDLE_NS_MAX || settings.active_timeout_ns > IDLE_NS_MAX)
		return "COMMAND_SETTINGS: idle_ns or active_timeout_ns is more than a year";
	if (settings.sample_threshold > SAMPLE_NEVER)
		return "COMMAND_SETTINGS: sample_threshold has more than 56 bits";
	if (settings.edges_share > SHARE_PERCENT_MAX)
		return "COMMAND_SETTINGS: edges_share is more than 10000 percent";
	if (settings.records_per_s && !settings.records_burst)
		return "COMMAND_SETTINGS: a bucket without depth lets nothing through";
	return NULL;
}

static const char *records__problem(const uint8_t *payload, size_t length)
{
	struct command_records report;

	if (length != sizeof(report))
		return "COMMAND_RECORDS has the wrong length";
	payload__take(report, payload);
	if (report.settled > report.received)
		return "COMMAND_RECORDS: more settled than received";
	if (report.received > RECORDS_MAX)
		return "COMMAND_RECORDS: more received than can have been sent";
	return NULL;
}

static const char *command__problem(const struct command *command)
{
	switch ((int)command->kind) {
	case COMMAND_EXCHANGE:
	case COMMAND_FLUSH:
		return command->length ? "a command without payload has one" : NULL;
	case COMMAND_SETTLE:
		return settle__problem(command->payload, command->length);
	case COMMAND_SETTLE_EVIDENCE:
		return settle_evidence__problem(command->length);
	case COMMAND_SETTINGS:
		return settings__problem(command->payload, command->length);
	case COMMAND_PREFIX_RULE:
		return prefix_rule__problem(command->payload, command->length);
	case COMMAND_RECORDS:
		return records__problem(command->payload, command->length);
	default:
		return "no such command";
	}
}

long command__parse(struct command *command, const uint8_t *bytes, size_t length, const char **why)
{
	struct frame_header header;

	if (length < sizeof(header))
		return 0;
	payload__take(header, bytes);
	*why = NULL;
	if (header.kind < COMMAND_EXCHANGE || header.kind > COMMAND_SETTLE_EVIDENCE || header.zero)
		*why = "no such command";
	else if (header.length > COMMAND_LENGTH_MAX - sizeof(header))
		*why = "the command is longer than any can be";
	if (*why)
		return -1;
	if (length - sizeof(header) < header.length)
		return 0;
	*command = (struct command){
		.kind = (enum frame_kind)header.kind,
		.payload = bytes + sizeof(header),
		.length = header.length,
	};
	*why = command__problem(command);
	return *why ? -1 : (long)(sizeof(header) + header.length);
}
