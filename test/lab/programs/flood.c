/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tenant who wants all of a table that it shares with others. Nothing here needs a privilege:
 *
 *   flood addresses PORT COUNT   connections with itself, each to another address of 127.0.0.0/8; 7 bytes each
 *   flood ports FIRST COUNT      connects to COUNT ports of 127.0.0.1 from FIRST on, where nobody listens
 *   flood refused PORT COUNT     COUNT connects to one such port
 *   flood datagrams FIRST COUNT  a datagram to COUNT ports of 127.0.0.1 from FIRST on, where nobody listens
 *   flood listeners PORT COUNT   listens on COUNT addresses from 127.0.0.2 on, until its standard input ends
 *
 * Prints `done OPENED REFUSED`, or ends with 1 and what failed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAYLOAD "flooded"
#define LOOPBACK 0x7f000001u
#define OWN_PORT 1999 /* none that is connected to: a socket that connects to its own port connects with itself */
#define QUEUE 16

static unsigned opened, refused;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in at(unsigned address, unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(address),
				     .sin_port = htons((unsigned short)port) };
}

static int tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

static int listen_on(unsigned address, unsigned port)
{
	struct sockaddr_in here = at(address, port);
	int fd = tcp(), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) || listen(fd, QUEUE))
		fail("listen");
	return fd;
}

/* One connection with itself: the client sends, the server reads all of it and closes, then the client does. */
static void connect_with_itself(int listener, unsigned address, unsigned port)
{
	struct sockaddr_in there = at(address, port);
	int client = tcp(), server;
	char bytes[16];

	if (connect(client, (struct sockaddr *)&there, sizeof(there)))
		fail("connect");
	server = accept(listener, NULL, NULL);
	if (server < 0)
		fail("accept");
	if (write(client, PAYLOAD, strlen(PAYLOAD)) < 0 || read(server, bytes, sizeof(bytes)) < 0)
		fail("write or read");
	close(server);
	close(client);
	opened++;
}

static void connect_in_vain(unsigned port)
{
	struct sockaddr_in here = at(LOOPBACK, OWN_PORT), there = at(LOOPBACK, port);
	int client = tcp(), one = 1;

	/* On a busy machine the one before may still be on its way out. */
	setsockopt(client, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(client, (struct sockaddr *)&here, sizeof(here)))
		fail("bind");
	if (!connect(client, (struct sockaddr *)&there, sizeof(there)))
		opened++;
	else if (errno == ECONNREFUSED)
		refused++;
	else
		fail("connect");
	close(client);
}

/* The error that a datagram before has brought back is taken, and the next one sent again. */
static void send_in_vain(unsigned port)
{
	struct sockaddr_in there = at(LOOPBACK, port);
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, PAYLOAD, strlen(PAYLOAD), 0, (struct sockaddr *)&there, sizeof(there)) < 0)
		fail("sendto");
	refused++;
}

/* As far as any user may. */
static void raise_open_files(unsigned count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		fail("RLIMIT_NOFILE");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < count + 64 || setrlimit(RLIMIT_NOFILE, &limit))
		fail("RLIMIT_NOFILE");
}

static void listen_until_told(unsigned port, unsigned count)
{
	char byte;

	raise_open_files(count);
	for (unsigned i = 0; i < count; i++)
		listen_on(LOOPBACK + 1 + i, port);
	printf("done %u 0\n", count);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	exit(0);
}

int main(int argc, char **argv)
{
	unsigned port, count;
	int listener;

	if (argc != 4)
		return 2;
	port = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	if (!strcmp(argv[1], "listeners"))
		listen_until_told(port, count);
	listener = strcmp(argv[1], "addresses") ? -1 : listen_on(INADDR_ANY, port);
	for (unsigned i = 0; i < count; i++) {
		if (listener >= 0)
			connect_with_itself(listener, LOOPBACK + 1 + i, port);
		else if (!strcmp(argv[1], "datagrams"))
			send_in_vain(port + i);
		else
			connect_in_vain(strcmp(argv[1], "ports") ? port : port + i);
	}
	printf("done %u %u\n", opened, refused);
	return 0;
}
