/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection, one small message there and back, again and again: how long each round trip took.
 *
 *   ping ADDRESS PORT MILLISECONDS BYTES      against an echo server
 *
 * Blocking calls and no library in between, so that what is measured is the kernel's path. Prints one JSON
 * line: rounds, their time in all, and percentiles of single rounds in nanoseconds. Rounds of the first
 * tenth are not counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX (4 << 20)
#define BYTES_MAX 65536

static uint32_t took_ns[ROUNDS_MAX];
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

static int connect_to(const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("ping: cannot connect");
	return fd;
}

static void play_round(int fd, ssize_t bytes)
{
	if (send(fd, buffer, bytes, 0) != bytes || recv(fd, buffer, bytes, MSG_WAITALL) != bytes)
		die("ping: the server went away");
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	uint64_t begun, counted, end, last;
	uint32_t rounds = 0;
	ssize_t bytes;
	int fd;

	if (argc != 5 || (bytes = atoi(argv[4])) < 1 || bytes > BYTES_MAX) {
		fprintf(stderr, "Usage: ping ADDRESS PORT MILLISECONDS BYTES\n");
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	begun = now_ns();
	end = begun + strtoull(argv[3], NULL, 10) * 1000000;
	counted = begun + (end - begun) / 10;
	while ((last = now_ns()) < counted)
		play_round(fd, bytes);
	counted = last;
	while (last < end && rounds < ROUNDS_MAX) {
		uint64_t now;

		play_round(fd, bytes);
		now = now_ns();
		took_ns[rounds++] = now - last > UINT32_MAX ? UINT32_MAX : now - last;
		last = now;
	}
	close(fd);
	if (!rounds)
		return 1;
	qsort(took_ns, rounds, sizeof(took_ns[0]), by_time);
	printf("{\"rounds\":%u,\"elapsed_ns\":%lu,\"p50_ns\":%u,\"p99_ns\":%u}\n", rounds, last - counted,
	       took_ns[rounds / 2], took_ns[rounds - 1 - rounds / 100]);
	return 0;
}
