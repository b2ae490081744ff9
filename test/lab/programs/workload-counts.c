/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workload's own books, added up over its workers and printed as one JSON line, and the few system
 * calls that all its files need. These counts are the ground truth of the tests: a count moves exactly
 * where the system call that it counts has returned.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_errnos(const char *name, const struct counts *workers, uint32_t count, size_t offset)
{
	const char *separator = "";

	printf(",\"%s\":{", name);
	for (int error = 0; error < ERRNOS_MAX; error++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < count; i++)
			sum += ((const uint64_t *)((const char *)&workers[i] + offset))[error];
		if (!sum)
			continue;
		printf("%s\"%s\":%lu", separator, error ? strerrorname_np(error) : "own_reset", sum);
		separator = ",";
	}
	printf("}");
}

void print_counts(const char *event, const struct counts *workers, uint32_t count)
{
	struct counts sum = {};

	for (uint32_t i = 0; i < count; i++) {
		sum.opened += workers[i].opened;
		sum.closed += workers[i].closed;
		sum.cancelled += workers[i].cancelled;
		sum.retried += workers[i].retried;
		sum.bytes_sent += workers[i].bytes_sent;
		sum.bytes_received += workers[i].bytes_received;
	}
	printf("{\"event\":\"%s\",\"opened\":%lu,\"closed\":%lu", event, sum.opened, sum.closed);
	print_errnos("failed", workers, count, offsetof(struct counts, failed));
	print_errnos("broken", workers, count, offsetof(struct counts, broken));
	printf(",\"cancelled\":%lu,\"retried\":%lu,\"bytesSent\":%lu,\"bytesReceived\":%lu}\n", sum.cancelled,
	       sum.retried, sum.bytes_sent, sum.bytes_received);
	fflush(stdout);
}

int read_command(int fd, char *line, int size)
{
	int length = 0;
	ssize_t got;

	/* Byte by byte: commands are short and rare, and nothing of the next one is taken. */
	while ((got = read(fd, line + length, 1)) == 1) {
		if (line[length] == '\n' || length == size - 1) {
			line[length] = 0;
			return 1;
		}
		length++;
	}
	return got == 0 ? -1 : 0;
}

void tell(const struct worker *worker, char news)
{
	if (write(worker->news, &news, 1) != 1)
		die("the parent is gone");
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

void die(const char *what)
{
	fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
	exit(1);
}

void close_with_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
		die("SO_LINGER");
	close(fd);
}
