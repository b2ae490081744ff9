/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the log says of libbpf's messages: one line of JSON each, and of a long one its last lines. */
#include "shared/log.h"

#include <assert.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/log_limit.h"

/* Messages of libbpf have no limit. */
bool log_limit__passes(struct log_limit *limit, const char *format, long long now_ms, unsigned long *left_out)
{
	(void)limit, (void)format, (void)now_ms, (void)left_out;
	abort();
}

const char *log_limit__over(struct log_limit *limit, long long now_ms, unsigned long *left_out)
{
	(void)limit, (void)now_ms, (void)left_out;
	abort();
}

static libbpf_print_fn_t print;

/* libbpf itself is not linked. */
libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t given)
{
	print = given;
	return NULL;
}

static int say(const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = print(LIBBPF_WARN, format, args);
	va_end(args);
	return result;
}

/* @return what was written to stderr for this message of libbpf's */
static const char *line_of(const char *message)
{
	static char line[8192];
	int before = dup(STDERR_FILENO), ends[2];
	ssize_t length;

	assert(before >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	say("%s", message);
	dup2(before, STDERR_FILENO);
	close(before);
	close(ends[1]);
	length = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	line[length > 0 ? length : 0] = '\0';
	return line;
}

static void a_short_message_is_whole(void)
{
	const char *line = line_of("libbpf: prog 'walk': failed to load: -22\n");

	assert(strncmp(line, "{\"level\":\"info\",\"time\":\"", 24) == 0);
	assert(strstr(line, "\"msg\":\"libbpf: prog 'walk': failed to load: -22\"}\n"));
}

static void of_a_long_message_the_last_lines_are_kept(void)
{
	static char message[200000];
	size_t used = 0;
	const char *line, *first;

	for (int i = 0; used < sizeof(message) - 200; i++)
		used += (size_t)snprintf(message + used, sizeof(message) - used, "%d: (79) r1 = *(u64 *)(r6 +%d)\n", i,
					 8 * i);
	snprintf(message + used, sizeof(message) - used, "R1 type=scalar expected=\"sock\"\n-- END PROG LOAD LOG --\n");
	line = line_of(message);

	assert(strstr(line, "R1 type=scalar expected=\\\"sock\\\"\\u000a-- END PROG LOAD LOG --\"}\n"));
	assert(strlen(line) > 1900 && strlen(line) < 2048);
	first = strstr(line, "\"msg\":\"") + 7;
	assert(strspn(first, "0123456789") == strcspn(first, ":")); /* it begins with a whole line */
}

static void what_json_makes_longer_is_reckoned_with(void)
{
	static char message[4096];
	const char *line;

	memset(message, '\n', sizeof(message) - 1);
	memcpy(message + sizeof(message) - 5, "last", 4);
	line = line_of(message);

	assert(strlen(line) < 2048);
	assert(strcmp(line + strlen(line) - 7, "last\"}\n") == 0);
}

static void a_tail_is_as_long_as_fits(void)
{
	assert(strcmp(json__tail("ab", 2), "ab") == 0);
	assert(strcmp(json__tail("ab", 1), "b") == 0);
	assert(strcmp(json__tail("a\nbc", 3), "bc") == 0);
	assert(strcmp(json__tail("a\nbc", 8), "bc") == 0); /* the new line takes 6 */
	assert(strcmp(json__tail("a\nbc", 9), "a\nbc") == 0);
	assert(strcmp(json__tail("x\"\"", 3), "\"") == 0);
	assert(strcmp(json__tail("x\xc3\xa4\xc3\xa4", 3), "\xc3\xa4") == 0);
	assert(strcmp(json__tail("abc", 0), "") == 0);
}

int main(void)
{
	log__take_libbpf();
	a_short_message_is_whole();
	of_a_long_message_the_last_lines_are_kept();
	what_json_makes_longer_is_reckoned_with();
	a_tail_is_as_long_as_fits();
	puts("log_test: ok");
	return 0;
}
