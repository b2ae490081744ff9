/*
 * Connects from known ports at known times, so that two of these programs behind one source NAT race for each port.
 *
 *   sameport ADDRESS PORT FIRST COUNT AT_NS
 *
 * Connection i leaves from port FIRST + i at AT_NS + i * 200 us of CLOCK_MONOTONIC. All stay open until the program is killed or its
 * input ends. "ready" when all have been sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 200000L

static int fail(const char *what)
{
	fprintf(stderr, "sameport: %s: %s\n", what, strerror(errno));
	return 1;
}

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* The wait is busy: a sleep would be late by more than a race lasts. */
static int connect_at(const struct sockaddr_in *to, int port, long at)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&from, sizeof(from)))
		return fail("bind");
	while (now_ns() < at)
		;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
		return fail("connect");
	return 0;
}

int main(int count, char **values)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char byte;

	if (count != 6 || inet_pton(AF_INET, values[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: sameport ADDRESS PORT FIRST COUNT AT_NS\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(values[2]));
	for (int i = 0; i < atoi(values[4]); i++) {
		if (connect_at(&to, atoi(values[3]) + i, atol(values[5]) + i * STEP_NS))
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
