/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bursts of traffic on one connection each, and what they cost:
 *
 *   burst ADDRESS CGROUP      one command a line on stdin, one JSON line on stdout for each
 *     ping PORT MILLISECONDS BYTES      a message there and back, again and again, against an echo server
 *     bulk PORT MILLISECONDS BYTES      writes of that size, against a server that reads
 *
 * Blocking calls and no library in between, so that what is measured is the kernel's path. The first fifth of a
 * burst is played and not counted. Of the rest: operations, time and the CPU that the cgroup used, which holds both
 * ends, in nanoseconds; of round trips also percentiles.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPERATIONS_MAX (4 << 20)
#define BYTES_MAX (1 << 20)

static uint32_t took_ns[OPERATIONS_MAX];
static char buffer[BYTES_MAX];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * CPU of all that ever ran in the cgroup, with the softirqs that ran on its back. The kernel adds a task's time at a tick or
 * when it stops running: so both ends rest before it is read.
 */
static uint64_t cpu_us(int cpu_stat)
{
	static const struct timespec rest = { .tv_nsec = 200000 };
	char text[256];
	ssize_t length;
	uint64_t us;

	nanosleep(&rest, NULL);
	length = pread(cpu_stat, text, sizeof(text) - 1, 0);
	if (length < 0)
		die("burst: cpu.stat");
	text[length] = 0;
	if (sscanf(text, "usage_usec %lu", &us) != 1)
		die("burst: no usage_usec in cpu.stat");
	return us;
}

static int connect_to(const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("burst: cannot connect");
	return fd;
}

static void operate(int fd, ssize_t bytes, int is_ping)
{
	if (send(fd, buffer, bytes, 0) != bytes || (is_ping && recv(fd, buffer, bytes, MSG_WAITALL) != bytes))
		die("burst: the server went away");
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void play(int fd, uint64_t ms, ssize_t bytes, int is_ping, int cpu_stat)
{
	uint64_t begun = now_ns(), end = begun + ms * 1000000, last, first, us;
	uint32_t count = 0;

	while (now_ns() < begun + (end - begun) / 5)
		operate(fd, bytes, is_ping);
	us = cpu_us(cpu_stat);
	first = last = now_ns();
	while (last < end && count < OPERATIONS_MAX) {
		uint64_t now;

		operate(fd, bytes, is_ping);
		now = now_ns();
		took_ns[count++] = now - last > UINT32_MAX ? UINT32_MAX : now - last;
		last = now;
	}
	us = cpu_us(cpu_stat) - us;
	if (!count)
		die("burst: no time for one operation");
	qsort(took_ns, count, sizeof(took_ns[0]), by_time);
	printf("{\"operations\":%u,\"elapsed_ns\":%lu,\"cpu_ns\":%lu,\"p50_ns\":%u,\"p99_ns\":%u}\n", count,
	       last - first, us * 1000, took_ns[count / 2], took_ns[count - 1 - count / 100]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[128], what[8], path[4096];
	unsigned int port, ms, bytes;
	int cpu_stat;

	if (argc != 3) {
		fprintf(stderr, "Usage: burst ADDRESS CGROUP\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/cpu.stat", argv[2]);
	cpu_stat = open(path, O_RDONLY | O_CLOEXEC);
	if (cpu_stat < 0)
		die("burst: cannot open cpu.stat");
	while (fgets(line, sizeof(line), stdin)) {
		int fd;

		if (sscanf(line, "%7s %u %u %u", what, &port, &ms, &bytes) != 4 || !bytes || bytes > BYTES_MAX) {
			fprintf(stderr, "burst: cannot read: %s", line);
			return 2;
		}
		fd = connect_to(argv[1], port);
		play(fd, ms, bytes, !strcmp(what, "ping"), cpu_stat);
		close(fd);
	}
	return 0;
}
