/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Log lines: a level, the time and a sentence, as one line of JSON in one write, so that lines of probe
 * and supervisor never mix. Of each kind of line a few a minute at most (log_limit.h): most can be caused by an agent that
 * connects again and again. Never fails: a stderr that is gone is no reason to stop.
 */
#include "shared/log.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/log_limit.h"

enum {
	LINE_SIZE = 2048,
	TAIL_MAX = 1900, /* what of it is left beside level, time, name and what json__escape() keeps free */
};

static struct log_limit limit;
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

const char *json__tail(const char *text, unsigned long room)
{
	unsigned long length = strlen(text), from = length, used = 0;

	for (; from > 0; from--) {
		unsigned char c = (unsigned char)text[from - 1];

		used += c == '"' || c == '\\' ? 2 : c < 0x20 ? 6 : 1;
		if (used > room)
			break;
	}
	if (from == 0)
		return text;
	for (unsigned long at = from; at < length; at++) {
		if (text[at - 1] == '\n')
			return text + at;
	}
	while ((text[from] & 0xc0) == 0x80) /* not within a character of UTF-8 */
		from++;
	return text + from;
}

static void log__write_line(enum log_level level, const char *message)
{
	char line[LINE_SIZE], stamp[32];
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

static long long clock__ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void log__write(enum log_level level, const char *format, ...)
{
	char message[1536];
	unsigned long left_out;
	size_t length;
	va_list args;

	if (level < lowest || !log_limit__passes(&limit, format, clock__ms(), &left_out))
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	length = strlen(message);
	if (left_out)
		snprintf(message + length, sizeof(message) - length, " (%lu lines like this were left out before)",
			 left_out);
	log__write_line(level, message);
}

void log__tell_left_out(void)
{
	unsigned long left_out;
	const char *format;
	char message[256];

	while ((format = log_limit__over(&limit, clock__ms(), &left_out))) {
		snprintf(message, sizeof(message), "%lu lines like this were left out: %s", left_out, format);
		log__write_line(LOG_WARN, message);
	}
}

/* A long message is a verifier's log, which says at its end what it refuses: only its last lines are kept. */
static int log__libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	enum log_level own = level == LIBBPF_WARN ? LOG_INFO : LOG_DEBUG;
	char *message;
	int length;

	if (own < lowest)
		return 0;
	length = vasprintf(&message, format, args);
	if (length < 0)
		return 0; /* without memory: what libbpf was asked to do fails too, and says so */
	while (length > 0 && message[length - 1] == '\n')
		message[--length] = '\0';
	if (length > 0)
		log__write_line(own, json__tail(message, TAIL_MAX));
	free(message);
	return 0;
}

void log__take_libbpf(void)
{
	libbpf_set_print(log__libbpf);
}
