/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that begin a connection, or wait for one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "torture.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* sock SLOT 4|6 [mptcp] [option...] */
int make_socket(struct puppet *puppet, const struct line *line)
{
	int is_mptcp = !strcmp(word(line, 3, ""), "mptcp");
	int fd = socket(*word(line, 2, "4") == '6' ? AF_INET6 : AF_INET, SOCK_STREAM, is_mptcp ? IPPROTO_MPTCP : 0);

	if (put(puppet, number(line, 1, 0), fd) < 0)
		return -1;
	set_options(fd, line, is_mptcp ? 4 : 3);
	return fd;
}

/* connect SLOT ADDRESS PORT [MS]: blocks for MS at most; a non-blocking one returns at once */
int connect_slot(int fd, const struct line *line, struct reply *reply)
{
	int ms = number(line, 4, 2500);
	struct timeval limit = { ms / 1000, ms % 1000 * 1000 }, none = { 0 };
	struct sockaddr_storage to;
	socklen_t size = address(word(line, 2, "127.0.0.1"), number(line, 3, 1), &to);
	int result, error;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	result = connect(fd, (void *)&to, size);
	error = errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	say_ends(reply, fd);
	errno = error;
	return result;
}

/* finish SLOT MS: how a connect under way has ended */
int finish(int fd, const struct line *line, struct reply *reply)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (!is_ready(fd, POLLOUT, number(line, 2, 500))) {
		errno = EINPROGRESS;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -1;
	say_ends(reply, fd);
	errno = error;
	return error ? -1 : 0;
}

/* accept LISTENER SLOT [MS] */
int accept_slot(struct puppet *puppet, int fd, const struct line *line, struct reply *reply)
{
	int accepted;

	if (!is_ready(fd, POLLIN, number(line, 3, 300))) {
		errno = EAGAIN;
		return -1;
	}
	if (fcntl(fd, F_GETFL) & O_NONBLOCK || is_ready(fd, POLLIN, 0))
		accepted = accept(fd, NULL, NULL);
	else
		return -1;
	if (accepted < 0)
		return -1;
	say_ends(reply, accepted);
	say(reply, " to=%d", number(line, 2, 0));
	return put(puppet, number(line, 2, 0), accepted) < 0 ? -1 : accepted;
}

/* tfo SLOT ADDRESS PORT BYTES: connects with data on the SYN */
int send_fast(int fd, const struct line *line, struct reply *reply)
{
	static char zeros[1400];
	struct sockaddr_storage to;
	socklen_t size = address(word(line, 2, "127.0.0.1"), number(line, 3, 1), &to);
	int bytes = number(line, 4, 100);
	int result = sendto(fd, zeros, bytes < (int)sizeof(zeros) ? bytes : (int)sizeof(zeros),
			    MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT, (void *)&to, size);
	int error = errno;

	say_ends(reply, fd);
	errno = error;
	return result;
}
