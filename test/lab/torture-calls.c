/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a puppet that any application makes. A slot without a file descriptor gives EBADF: no line can be wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/sockios.h>
#include "torture.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct option {
	const char *name;
	int level, option, value; /* value -1: the number behind "=" */
};

static const struct option OPTIONS[] = {
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY, 1 },     { "cork", IPPROTO_TCP, TCP_CORK, 1 },
	{ "uncork", IPPROTO_TCP, TCP_CORK, 0 },         { "quickack", IPPROTO_TCP, TCP_QUICKACK, -1 },
	{ "defer", IPPROTO_TCP, TCP_DEFER_ACCEPT, -1 }, { "patience", IPPROTO_TCP, TCP_USER_TIMEOUT, -1 },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE, 1 },   { "idle", IPPROTO_TCP, TCP_KEEPIDLE, -1 },
	{ "every", IPPROTO_TCP, TCP_KEEPINTVL, -1 },    { "probes", IPPROTO_TCP, TCP_KEEPCNT, -1 },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF, -1 },        { "rcvbuf", SOL_SOCKET, SO_RCVBUF, -1 },
	{ "clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP, -1 }, { "mss", IPPROTO_TCP, TCP_MAXSEG, -1 },
	{ "syns", IPPROTO_TCP, TCP_SYNCNT, -1 },        { "linger2", IPPROTO_TCP, TCP_LINGER2, -1 },
	{ "reuse", SOL_SOCKET, SO_REUSEADDR, 1 },       { "reuseport", SOL_SOCKET, SO_REUSEPORT, 1 },
	{ "fastopen", IPPROTO_TCP, TCP_FASTOPEN, -1 },  { "fastconnect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1 },
	{ "v6only", IPPROTO_IPV6, IPV6_V6ONLY, -1 },
};

/* `name` or `name=value`, those of OPTIONS and three more. */
static int set_option(int fd, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : strlen(text);
	int given = equals ? atoi(equals + 1) : 0;

	if (!strcmp(text, "nonblocking"))
		return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (!strncmp(text, "linger=", 7)) {
		struct linger linger = { given >= 0, given > 0 ? given : 0 };

		return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(*OPTIONS); i++) {
		const struct option *o = &OPTIONS[i];
		int value = o->value < 0 ? given : o->value;

		if (strlen(o->name) == length && !strncmp(o->name, text, length))
			return setsockopt(fd, o->level, o->option, &value, sizeof(value));
	}
	errno = EINVAL;
	return -1;
}

static int set_options(int fd, const struct line *line, int first)
{
	int result = 0;

	for (int i = first; i < line->count; i++)
		if (set_option(fd, line->words[i]))
			result = -1;
	return result;
}

static int *slot_of(struct puppet *puppet, int slot)
{
	return &puppet->fds[slot >= 0 && slot < SLOTS ? slot : 0];
}

/* What an application does with a slot that it uses again: the former one is closed, and said. */
static int put(struct puppet *puppet, int slot, int fd, struct reply *reply)
{
	if (fd < 0)
		return -1;
	if (*slot_of(puppet, slot) >= 0) {
		close(fd);
		errno = EBUSY;
		return -1;
	}
	*slot_of(puppet, slot) = fd;
	(void)reply;
	return fd;
}

static bool is_ready(int fd, short events, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = events };

	return poll(&wait, 1, timeout_ms) > 0;
}

/* sock SLOT 4|6 [mptcp] [option...] */
static int make_socket(struct puppet *puppet, const struct line *line, struct reply *reply)
{
	int is_mptcp = !strcmp(word(line, 3, ""), "mptcp");
	int fd = socket(*word(line, 2, "4") == '6' ? AF_INET6 : AF_INET, SOCK_STREAM, is_mptcp ? IPPROTO_MPTCP : 0);

	if (put(puppet, number(line, 1, 0), fd, reply) < 0)
		return -1;
	set_options(fd, line, is_mptcp ? 4 : 3);
	return fd;
}

/* connect SLOT ADDRESS PORT [MS]: blocks for MS at most; a non-blocking one returns at once */
static int connect_slot(int fd, const struct line *line, struct reply *reply)
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
static int finish(int fd, const struct line *line, struct reply *reply)
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
static int accept_slot(struct puppet *puppet, int fd, const struct line *line, struct reply *reply)
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
	return put(puppet, number(line, 2, 0), accepted, reply) < 0 ? -1 : accepted;
}

/* send SLOT BYTES [MS]: as much of it as goes until nothing goes for MS; @return bytes */
static int send_slot(int fd, const struct line *line)
{
	static char zeros[65536];
	int left = number(line, 2, 1), ms = number(line, 3, 30), done = 0;

	while (left > 0) {
		ssize_t n = send(fd, zeros, left < (int)sizeof(zeros) ? (size_t)left : sizeof(zeros),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			done += n;
			left -= n;
		} else if (errno != EAGAIN || !is_ready(fd, POLLOUT, ms)) {
			break;
		}
	}
	return done > 0 ? done : left > 0 ? -1 : 0;
}

/* recv SLOT BYTES [MS]: until so many came, the end, an error, or nothing for MS; @return bytes */
static int recv_slot(int fd, const struct line *line, struct reply *reply)
{
	static char buffer[65536];
	int left = number(line, 2, 1 << 30), ms = number(line, 3, 30), done = 0, end = 0, error = 0;

	while (left > 0 && !end && !error) {
		ssize_t n = recv(fd, buffer, left < (int)sizeof(buffer) ? (size_t)left : sizeof(buffer), MSG_DONTWAIT);

		if (n > 0) {
			done += n;
			left -= n;
		} else if (n == 0) {
			end = 1;
		} else if (errno != EAGAIN) {
			error = errno;
		} else if (!is_ready(fd, POLLIN, ms)) {
			break;
		}
	}
	say(reply, " end=%d error=%d", end, error);
	return done;
}

/* tfo SLOT ADDRESS PORT BYTES: connects with data on the SYN */
static int send_fast(int fd, const struct line *line, struct reply *reply)
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

/* settle SLOT MS: until all that was sent is acknowledged */
static int settle(int fd, const struct line *line, struct reply *reply)
{
	uint64_t deadline = boot_ns() + number(line, 2, 300) * 1000000ULL;
	int left = 0;

	do {
		if (ioctl(fd, SIOCOUTQ, &left))
			return -1;
		if (left)
			usleep(1000);
	} while (left && boot_ns() < deadline);
	say_info(reply, fd);
	return left;
}

static int shut(int fd, const char *how)
{
	return shutdown(fd, *how == 'r' ? SHUT_RD : *how == 'w' ? SHUT_WR : SHUT_RDWR);
}

static int disconnect(int fd, struct reply *reply)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	say_info(reply, fd);
	return connect(fd, &none, sizeof(none));
}

int close_slot(struct puppet *puppet, int slot, struct reply *reply)
{
	int *fd = slot_of(puppet, slot);
	uint64_t from = boot_ns();
	int result;

	if (*fd < 0)
		return -1;
	say(reply, "close %d", slot);
	{
		struct reply info = { 0 };

		say_info(&info, *fd);
		from = boot_ns();
		result = close(*fd);
		say(reply, " %lu %lu %d %d%s\n", from, boot_ns(), result, result ? errno : 0, info.text);
	}
	*fd = -1;
	return result;
}

static int give(struct puppet *puppet, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(puppet->passing[0], &message, MSG_DONTWAIT) == 1 ? 0 : -1;
}

static int take(struct puppet *puppet, int slot, struct reply *reply)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(puppet->passing[1], &message, MSG_DONTWAIT) != 1 || !(c = CMSG_FIRSTHDR(&message)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return put(puppet, slot, fd, reply);
}

/* fork: a child that holds all slots and does nothing until `reap` lets it end */
static int fork_child(struct puppet *puppet)
{
	int pipes[2];
	char byte;
	pid_t pid;

	if (puppet->children == (int)(sizeof(puppet->child_pipe) / sizeof(*puppet->child_pipe)) || pipe(pipes))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		for (int i = 0; i < puppet->children; i++)
			close(puppet->child_pipe[i]);
		if (read(pipes[0], &byte, 1) >= 0)
			_exit(0);
	}
	close(pipes[0]);
	puppet->child_pipe[puppet->children++] = pipes[1];
	return pid;
}

static int reap(struct puppet *puppet)
{
	int ended = puppet->children;

	while (puppet->children > 0)
		close(puppet->child_pipe[--puppet->children]);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	return ended;
}

/* cgroup NAME: moves this puppet */
static int move(struct puppet *puppet, const char *name)
{
	char path[512];
	int fd, result;

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", puppet->cgroups, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = write(fd, "0", 1) == 1 ? 0 : -1;
	close(fd);
	return result;
}

static int call_on_socket(struct puppet *puppet, const char *name, int fd, const struct line *line, struct reply *reply)
{
	struct sockaddr_storage to;

	if (!strcmp(name, "option"))
		return set_options(fd, line, 2);
	if (!strcmp(name, "bind"))
		return bind(fd, (void *)&to, address(word(line, 2, "127.0.0.1"), number(line, 3, 0), &to));
	if (!strcmp(name, "listen")) {
		int result = listen(fd, number(line, 2, 16));

		say_ends(reply, fd);
		return result;
	}
	if (!strcmp(name, "connect"))
		return connect_slot(fd, line, reply);
	if (!strcmp(name, "finish"))
		return finish(fd, line, reply);
	if (!strcmp(name, "accept"))
		return accept_slot(puppet, fd, line, reply);
	if (!strcmp(name, "tfo"))
		return send_fast(fd, line, reply);
	if (!strcmp(name, "send"))
		return send_slot(fd, line);
	if (!strcmp(name, "recv"))
		return recv_slot(fd, line, reply);
	if (!strcmp(name, "settle"))
		return settle(fd, line, reply);
	if (!strcmp(name, "shut"))
		return shut(fd, word(line, 2, "b"));
	if (!strcmp(name, "unspec"))
		return disconnect(fd, reply);
	if (!strcmp(name, "dup"))
		return put(puppet, number(line, 2, 0), dup(fd), reply);
	if (!strcmp(name, "give"))
		return give(puppet, fd);
	if (!strcmp(name, "info")) {
		say_info(reply, fd);
		return 0;
	}
	return -2;
}

int call(struct puppet *puppet, const struct line *line, struct reply *reply)
{
	const char *name = line->words[0];
	int slot = number(line, 1, 0), fd = *slot_of(puppet, slot);

	if (!strcmp(name, "sock"))
		return make_socket(puppet, line, reply);
	if (!strcmp(name, "take"))
		return take(puppet, slot, reply);
	if (!strcmp(name, "fork"))
		return fork_child(puppet);
	if (!strcmp(name, "reap"))
		return reap(puppet);
	if (!strcmp(name, "cgroup"))
		return move(puppet, word(line, 1, "a"));
	if (!strcmp(name, "close")) {
		struct reply closed = { 0 };

		if (fd < 0) {
			errno = EBADF;
			return -1;
		}
		say_info(reply, fd);
		return close_slot(puppet, slot, &closed);
	}
	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	return call_on_socket(puppet, name, fd, line, reply);
}
