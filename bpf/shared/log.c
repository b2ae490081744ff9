/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Log lines: a level, the time and a sentence, as one line of JSON in one write, so that lines of probe
 * and supervisor never mix. Never fails: a stderr that is gone is no reason to stop.
 */
#include "shared/log.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level lowest = LOG_INFO;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log__set_level(enum log_level level)
{
	lowest = level;
}

bool log_level__parse(const char *name, enum log_level *level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

unsigned long json__escape(char *out, unsigned long size, unsigned long used, const char *text)
{
	for (; *text && used + 7 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			out[used++] = '\\';
			out[used++] = (char)c;
		} else if (c < 0x20) {
			used += (unsigned long)snprintf(out + used, size - used, "\\u%04x", c);
		} else {
			out[used++] = (char)c;
		}
	}
	out[used] = '\0';
	return used;
}

static void log__write_line(enum log_level level, const char *message)
{
	char line[2048], stamp[32];
	struct timespec now;
	struct tm utc;
	unsigned long used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	used = (unsigned long)snprintf(line, sizeof(line),
				       "{\"level\":\"%s\",\"time\":\"%s.%03ldZ\",\"name\":\"probe\",\"msg\":\"",
				       level_names[level], stamp, now.tv_nsec / 1000000);
	used = json__escape(line, sizeof(line) - 4, used, message);
	memcpy(line + used, "\"}\n", 3);
	if (write(STDERR_FILENO, line, used + 3) < 0)
		return; /* nobody to tell */
}

void log__write(enum log_level level, const char *format, ...)
{
	char message[1536];
	va_list args;

	if (level < lowest)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log__write_line(level, message);
}

static int log__libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char message[1536];
	size_t length;

	if (lowest > LOG_DEBUG && level != LIBBPF_WARN)
		return 0;
	vsnprintf(message, sizeof(message), format, args);
	length = strlen(message);
	while (length > 0 && message[length - 1] == '\n')
		message[--length] = '\0';
	if (length > 0 && (level == LIBBPF_WARN ? LOG_INFO : LOG_DEBUG) >= lowest)
		log__write_line(level == LIBBPF_WARN ? LOG_INFO : LOG_DEBUG, message);
	return 0;
}

void log__take_libbpf(void)
{
	libbpf_set_print(log__libbpf);
}
