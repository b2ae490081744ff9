/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays socket calls, one a line of standard input, on numbered sockets of 127.0.0.1; what a C programmer would write:
 *
 *     listen 0 7711            connect 1 7711           accept 2 0
 *     send 2 211               shutdown 1 1             close 1
 *
 * A call that fails is no error here: it is told, a line `NUMBER NAME SOCKET ERRNO`, where NUMBER counts lines from 1.
 * What waits for the kernel is in calls-wait.c, checkpoint and restore in calls-repair.c. Ends with `ports: SOCKET=PORT
 * ...`, the local ports at each connect, and leaves what is still open to exit().
 */
#define _GNU_SOURCE
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FAST_BYTES 211 /* what `fast` sends */

int sockets[SOCKETS];
static char ports[8192];
static char data[1 << 20];

void die(const char *what)
{
	fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct sockaddr_in at(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int own(int s)
{
	int on = 1;

	if (sockets[s] < 0) {
		sockets[s] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (sockets[s] < 0 || setsockopt(sockets[s], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
			die("socket");
	}
	return sockets[s];
}

int set(int s, int level, int name, int value)
{
	return setsockopt(own(s), level, name, &value, sizeof(value));
}

static int do_listen(int s, int port)
{
	struct sockaddr_in address = at(port);

	return bind(own(s), (struct sockaddr *)&address, sizeof(address)) || listen(sockets[s], 64) ? -1 : 0;
}

static int do_bind(int s, int port)
{
	struct sockaddr_in address = at(port);

	return bind(own(s), (struct sockaddr *)&address, sizeof(address));
}

static void note_port(int s)
{
	struct sockaddr_in local;
	socklen_t size = sizeof(local);
	size_t used = strlen(ports);

	if (!getsockname(sockets[s], (struct sockaddr *)&local, &size))
		snprintf(ports + used, sizeof(ports) - used, " %d=%d", s, ntohs(local.sin_port));
}

static int do_connect(int s, int port)
{
	struct sockaddr_in address = at(port);

	if (connect(own(s), (struct sockaddr *)&address, sizeof(address)))
		return -1;
	note_port(s);
	return 0;
}

/* With data on the SYN, where the peer's cookie is known. */
static int do_fast(int s, int port)
{
	struct sockaddr_in address = at(port);

	return sendto(own(s), data, FAST_BYTES, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1
														: 0;
}

static int do_accept(int s, int listener)
{
	sockets[s] = accept4(own(listener), NULL, NULL, SOCK_CLOEXEC);
	return sockets[s] < 0 ? -1 : 0;
}

int do_send(int s, int bytes)
{
	while (bytes > 0) {
		ssize_t sent =
			send(sockets[s], data, bytes < (int)sizeof(data) ? (size_t)bytes : sizeof(data), MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		bytes -= sent;
	}
	return 0;
}

/* All `bytes`, or to the end where they are 0. */
static int do_recv(int s, int bytes)
{
	int left = bytes;

	for (;;) {
		ssize_t got = recv(sockets[s], data, left && left < (int)sizeof(data) ? (size_t)left : sizeof(data), 0);

		if (got < 0)
			return -1;
		left -= got;
		if (bytes ? left <= 0 : !got)
			return 0;
		if (!got) {
			errno = ENODATA;
			return -1;
		}
	}
}

static int do_shutdown(int s, int how)
{
	return shutdown(sockets[s], how);
}

static int do_linger(int s, int seconds)
{
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };

	return setsockopt(own(s), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static int do_unspec(int s, __attribute__((unused)) int unused)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	return connect(sockets[s], &nobody, sizeof(nobody));
}

int do_close(int s, __attribute__((unused)) int unused)
{
	int result = close(sockets[s]);

	sockets[s] = -1;
	return result;
}

static int do_pause(__attribute__((unused)) int unused, int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	return nanosleep(&time, NULL);
}

/* Segments from and to 127.0.0.1 are signed with this key from now on (RFC 2385). */
static int do_md5(int s, int key)
{
	struct tcp_md5sig sign = { .tcpm_keylen = 1, .tcpm_key = { key } };
	struct sockaddr_in peer = at(0);

	memcpy(&sign.tcpm_addr, &peer, sizeof(peer));
	return setsockopt(own(s), IPPROTO_TCP, TCP_MD5SIG, &sign, sizeof(sign));
}

static int do_relisten(int s, int backlog)
{
	return listen(sockets[s], backlog);
}

static const struct call {
	const char *name;
	int (*play)(int s, int value);
} calls[] = {
	{ "listen", do_listen },     { "relisten", do_relisten }, { "bind", do_bind },     { "connect", do_connect },
	{ "fast", do_fast },         { "accept", do_accept },     { "send", do_send },     { "recv", do_recv },
	{ "shutdown", do_shutdown }, { "linger", do_linger },     { "unspec", do_unspec }, { "close", do_close },
	{ "state", do_state },       { "drained", do_drained },   { "unread", do_unread }, { "pause", do_pause },
	{ "save", do_save },         { "restore", do_restore },   { "md5", do_md5 },       { "none", do_none },
};

static const struct option {
	const char *name;
	int level, number;
} options[] = {
	{ "rcvbuf", SOL_SOCKET, SO_RCVBUF },
	{ "linger2", IPPROTO_TCP, TCP_LINGER2 },
	{ "defer", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE },
	{ "keepalive-after", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "keepalive-every", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "keepalive-probes", IPPROTO_TCP, TCP_KEEPCNT },
	{ "user-timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "fastopen", IPPROTO_TCP, TCP_FASTOPEN },
	{ "fastopen-connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "port-at-connect", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	{ "recverr", IPPROTO_IP, IP_RECVERR },
	{ "repair", IPPROTO_TCP, TCP_REPAIR },
};

static int play(const char *name, int s, int value)
{
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(name, calls[i].name))
			return calls[i].play(s, value);
	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (!strcmp(name, options[i].name))
			return set(s, options[i].level, options[i].number, value);
	fprintf(stderr, "calls: no call %s\n", name);
	exit(1);
}

int main(void)
{
	char line[128], name[32];
	int number, s, value;

	memset(sockets, -1, sizeof(sockets));
	for (number = 1; fgets(line, sizeof(line), stdin); number++) {
		s = value = 0;
		if (sscanf(line, "%31s %d %d", name, &s, &value) < 1 || s < 0 || s >= SOCKETS)
			die(line);
		if (play(name, s, value) < 0)
			printf("%d %s %d %s\n", number, name, s, strerrorname_np(errno));
	}
	printf("ports:%s\n", ports);
	return 0;
}
