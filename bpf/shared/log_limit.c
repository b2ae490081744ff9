/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A token bucket for each format. All lines have one, so that none must be marked as one that a peer can cause, and none can
 * be forgotten. What was left out is counted, and said with the next line of that kind or when they have ended. Pure.
 */
#include "shared/log_limit.h"

#include <stddef.h>
#include <stdint.h>

static struct log_kind *kind__of(struct log_limit *limit, const char *format, long long now_ms)
{
	uintptr_t at = (uintptr_t)format / sizeof(void *);

	for (unsigned i = 0; i < LOG_LIMIT_KINDS; i++) {
		struct log_kind *kind = &limit->kinds[(at + i) % LOG_LIMIT_KINDS];

		if (kind->format == format)
			return kind;
		if (!kind->format) {
			*kind = (struct log_kind){ .format = format, .tokens = LOG_LIMIT_BURST, .filled_ms = now_ms };
			return kind;
		}
	}
	if (!limit->kinds[LOG_LIMIT_KINDS].format)
		limit->kinds[LOG_LIMIT_KINDS] =
			(struct log_kind){ .format = "other lines", .tokens = LOG_LIMIT_BURST, .filled_ms = now_ms };
	return &limit->kinds[LOG_LIMIT_KINDS];
}

static void kind__fill(struct log_kind *kind, long long now_ms)
{
	unsigned long due = (unsigned long)((now_ms - kind->filled_ms) / LOG_LIMIT_EVERY_MS);

	kind->filled_ms += (long long)due * LOG_LIMIT_EVERY_MS;
	kind->tokens = kind->tokens + due > LOG_LIMIT_BURST ? LOG_LIMIT_BURST : kind->tokens + due;
}

bool log_limit__passes(struct log_limit *limit, const char *format, long long now_ms, unsigned long *left_out)
{
	struct log_kind *kind = kind__of(limit, format, now_ms);

	kind__fill(kind, now_ms);
	if (!kind->tokens) {
		kind->left_out++;
		return false;
	}
	kind->tokens--;
	*left_out = kind->left_out;
	kind->left_out = 0;
	return true;
}

const char *log_limit__over(struct log_limit *limit, long long now_ms, unsigned long *left_out)
{
	for (unsigned i = 0; i <= LOG_LIMIT_KINDS; i++) {
		struct log_kind *kind = &limit->kinds[i];

		if (!kind->left_out)
			continue;
		kind__fill(kind, now_ms);
		if (!kind->tokens)
			continue;
		kind->tokens--;
		*left_out = kind->left_out;
		kind->left_out = 0;
		return kind->format;
	}
	return NULL;
}
