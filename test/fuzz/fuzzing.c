/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Takes the probe's log lines (--wrap=log__write), so that a target can ask whether a refusal was explained. */
#include "fuzzing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

static struct {
	unsigned lines;
	char last[1536];
} said;

void __wrap_log__write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

void __wrap_log__write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said.last, sizeof(said.last), format, args);
	va_end(args);
	said.lines += level >= LOG_INFO;
}

unsigned said__lines(void)
{
	return said.lines;
}

const char *said__last(void)
{
	return said.last;
}

void said__clear(void)
{
	said.lines = 0;
	said.last[0] = '\0';
}

char *text__copy(const uint8_t *bytes, size_t size)
{
	size_t length = strnlen((const char *)bytes, size);
	char *text = malloc(length + 1);

	assert(text);
	memcpy(text, bytes, length);
	text[length] = '\0';
	return text;
}
