/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One JSON object a line on stderr: {"level":"info","time":"2026-01-31T12:00:00.000Z","name":"probe","msg":"…"}. */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are not written. */
void log__set_level(enum log_level level);

/* False where `name` is none of debug, info, warn, error. */
bool log_level__parse(const char *name, enum log_level *level);

void log__write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* To be called now and then: says how many lines were left out of kinds that no longer come. */
void log__tell_left_out(void);

#define log_debug(...) log__write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log__write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log__write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log__write(LOG_ERROR, __VA_ARGS__)

/* Hands libbpf's own messages to this log, one level lower than libbpf thinks they are. */
void log__take_libbpf(void);

/* Appends `text` to `out` (of `size` bytes, `used` so far) as the inside of a JSON string; cuts what does not fit. */
unsigned long json__escape(char *out, unsigned long size, unsigned long used, const char *text);

/*
 * The end of `text` that json__escape() makes at most `room` bytes of. Where that is not all of it, it begins with a line;
 * in a line that is longer than `room`, with a character.
 */
const char *json__tail(const char *text, unsigned long room);

#endif
