/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* How often one kind of line may be logged, so that nobody who causes it can fill the log. */
#ifndef SHARED_LOG_LIMIT_H
#define SHARED_LOG_LIMIT_H

#include <stdbool.h>

#define LOG_LIMIT_BURST 20       /* lines of one kind at once */
#define LOG_LIMIT_EVERY_MS 10000 /* then one in this time */
#define LOG_LIMIT_KINDS 256

/* Lines of one kind: those with one format. */
struct log_kind {
	const char *format;     /* NULL: free */
	unsigned long tokens;   /* lines that may be written now */
	unsigned long left_out; /* since the last one was written */
	long long filled_ms;
};

/* One place more, for all kinds past LOG_LIMIT_KINDS together. */
struct log_limit {
	struct log_kind kinds[LOG_LIMIT_KINDS + 1];
};

/*
 * Whether a line of this format may be written at `now_ms`, of any clock that only moves forward.
 * @param left_out how many of its kind were left out since the last one that was written; only where this one is
 */
bool log_limit__passes(struct log_limit *limit, const char *format, long long now_ms, unsigned long *left_out);

/*
 * The next kind whose lines were left out and are no longer coming, for a line that says so; it starts anew.
 * NULL: there is none.
 */
const char *log_limit__over(struct log_limit *limit, long long now_ms, unsigned long *left_out);

#endif
