/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A flood of one kind of line is bounded and counted, and takes no room from other kinds. */
#include "shared/log_limit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const flood = "a peer did %d", *const other = "something else";
static struct log_limit limit;

static unsigned long log__times(const char *format, unsigned long times, long long now_ms)
{
	unsigned long written = 0, left_out;

	for (unsigned long i = 0; i < times; i++)
		written += log_limit__passes(&limit, format, now_ms, &left_out);
	return written;
}

static void a_flood_is_a_burst_and_then_one_line_in_ten_seconds(void)
{
	unsigned long left_out;

	memset(&limit, 0, sizeof(limit));
	assert(log__times(flood, 100000, 1000) == LOG_LIMIT_BURST);
	assert(log__times(flood, 100000, 1000 + LOG_LIMIT_EVERY_MS - 1) == 0);
	assert(log_limit__passes(&limit, flood, 1000 + LOG_LIMIT_EVERY_MS, &left_out));
	assert(left_out == 200000 - LOG_LIMIT_BURST);
	assert(log__times(flood, 1000, 1000 + LOG_LIMIT_EVERY_MS) == 0);
}

static void other_kinds_are_written_meanwhile(void)
{
	memset(&limit, 0, sizeof(limit));
	log__times(flood, 100000, 0);
	assert(log__times(other, 3, 0) == 3);
}

static void what_was_left_out_is_told_once_when_no_more_comes(void)
{
	unsigned long left_out;

	memset(&limit, 0, sizeof(limit));
	log__times(flood, LOG_LIMIT_BURST + 7, 0);
	assert(!log_limit__over(&limit, LOG_LIMIT_EVERY_MS - 1, &left_out));
	assert(strcmp(log_limit__over(&limit, LOG_LIMIT_EVERY_MS, &left_out), flood) == 0 && left_out == 7);
	assert(!log_limit__over(&limit, LOG_LIMIT_EVERY_MS * 100, &left_out));
}

static void more_kinds_than_there_are_places_share_one(void)
{
	static char formats[LOG_LIMIT_KINDS + 100][sizeof(void *)];
	unsigned long written = 0;

	memset(&limit, 0, sizeof(limit));
	for (int i = 0; i < LOG_LIMIT_KINDS + 100; i++)
		written += log__times(formats[i], 1, 0);
	assert(written == LOG_LIMIT_KINDS + LOG_LIMIT_BURST);
}

int main(void)
{
	a_flood_is_a_burst_and_then_one_line_in_ten_seconds();
	other_kinds_are_written_meanwhile();
	what_was_left_out_is_told_once_when_no_more_comes();
	more_kinds_than_there_are_places_share_one();
	puts("log_limit_test: ok");
	return 0;
}
