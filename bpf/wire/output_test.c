/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * An agent that takes what it is sent slowly keeps the probe from all else. What it takes arrives as it was sent; beyond its
 * patience the probe gives the connection up, also where each byte comes just in time.
 */
#include "wire/output.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/log.h"

#define PAYLOAD 1000
#define FRAMES 4000 /* some 60 buffers */

/* What the probe would log. */
static char last_line[200];

void log__write(enum log_level level, const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(last_line, sizeof(last_line), format, arguments);
	va_end(arguments);
}

/* An agent that reads so much, then rests. */
struct reader {
	int fd;
	size_t bytes, total;
	unsigned rest_us;
};

static void *read_all(void *context)
{
	struct reader *reader = context;
	char bytes[OUTPUT_SIZE];
	ssize_t length;

	while ((length = read(reader->fd, bytes, reader->bytes)) > 0) {
		reader->total += (size_t)length;
		usleep(reader->rest_us);
	}
	return NULL;
}

/* Sends FRAMES frames. @return how many bytes the reader had, and in `whole` whether the output took all */
static size_t send_to(struct reader *reader, int patience_ms, bool *whole)
{
	static struct output output;
	char payload[PAYLOAD] = { 1 };
	int ends[2];
	pthread_t thread;

	assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	reader->fd = ends[1];
	output__open(&output, ends[0]);
	output.listener_fd = -1;
	output.patience_ms = patience_ms;
	pthread_create(&thread, NULL, read_all, reader);
	*whole = true;
	for (int i = 0; i < FRAMES && *whole; i++)
		*whole = output__frame(&output, FRAME_STATUS, payload, sizeof(payload));
	*whole = *whole && output__flush(&output);
	close(ends[0]);
	pthread_join(thread, NULL);
	close(ends[1]);
	return reader->total;
}

static void an_agent_that_reads_gets_every_byte(void)
{
	struct reader reader = { .bytes = OUTPUT_SIZE, .rest_us = 1000 };
	bool whole;
	size_t total = send_to(&reader, 1000, &whole);

	assert(whole && total == FRAMES * (sizeof(struct frame_header) + PAYLOAD));
}

/* Each wait is short, and all of them are 6 s. */
static void an_agent_that_takes_each_buffer_just_in_time_is_given_up(void)
{
	struct reader reader = { .bytes = OUTPUT_SIZE / 2, .rest_us = 150000 };
	bool whole;

	send_to(&reader, 500, &whole);
	assert(!whole);
	assert(strstr(last_line, "it has kept the probe waiting"));
}

int main(void)
{
	an_agent_that_reads_gets_every_byte();
	an_agent_that_takes_each_buffer_just_in_time_is_given_up();
	puts("output_test: ok");
	return 0;
}
