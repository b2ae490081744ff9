/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are opened in ways that need a socket option, over IPv4, one after the other:
 *
 *   openings serve PORT [defer|fastopen]              each connection: all of the request, then the answer
 *   openings connect ADDRESS PORT COUNT WAIT_MS [fastopen]
 *
 * A client waits WAIT_MS between connect and its request; with fastopen the request goes with the SYN, as soon as
 * the kernel has a cookie for it. A request has 53 bytes, an answer 101. Prints `ready` or, at its end, `done`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST 53
#define ANSWER 101
#define SECONDS_DEFERRED 5
#define QUEUE 64

static char bytes[ANSWER];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "openings: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_all(int fd)
{
	char buffer[4096];
	ssize_t length;

	while ((length = read(fd, buffer, sizeof(buffer))) > 0)
		;
	if (length < 0)
		fail("read");
}

static int serve(int port, const char *option)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), deferred = SECONDS_DEFERRED, queue = QUEUE;

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)))
		fail("bind");
	if (!strcmp(option, "defer") &&
	    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &deferred, sizeof(deferred)))
		fail("TCP_DEFER_ACCEPT");
	if (!strcmp(option, "fastopen") && setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)))
		fail("TCP_FASTOPEN");
	if (listen(listener, QUEUE))
		fail("listen");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			fail("accept");
		read_all(fd);
		if (write(fd, bytes, ANSWER) != ANSWER)
			fail("write");
		close(fd);
	}
}

static void connect_once(const struct sockaddr_in *to, int wait_ms, int with_syn)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	if (with_syn) {
		if (sendto(fd, bytes, REQUEST, MSG_FASTOPEN, (struct sockaddr *)to, sizeof(*to)) != REQUEST)
			fail("MSG_FASTOPEN");
	} else {
		if (connect(fd, (struct sockaddr *)to, sizeof(*to)))
			fail("connect");
		usleep(wait_ms * 1000);
		if (write(fd, bytes, REQUEST) != REQUEST)
			fail("write");
	}
	if (shutdown(fd, SHUT_WR))
		fail("shutdown");
	read_all(fd);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	if (argc >= 3 && !strcmp(argv[1], "serve"))
		return serve(atoi(argv[2]), argc > 3 ? argv[3] : "");
	if (argc < 6 || strcmp(argv[1], "connect") || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
		fprintf(stderr, "openings: see the opening comment of openings.c\n");
		return 2;
	}
	to.sin_port = htons(atoi(argv[3]));
	for (int i = 0; i < atoi(argv[4]); i++)
		connect_once(&to, atoi(argv[5]), argc > 6);
	printf("done\n");
	return 0;
}
