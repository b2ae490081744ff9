/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of a puppet by its name. A slot without a file descriptor gives EBADF: no line can be wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "torture.h"

int *slot_of(struct puppet *puppet, int slot)
{
	return &puppet->fds[slot >= 0 && slot < SLOTS ? slot : 0];
}

/* A slot that is taken keeps what it has: the new file descriptor is closed. */
int put(struct puppet *puppet, int slot, int fd)
{
	if (fd < 0)
		return -1;
	if (*slot_of(puppet, slot) >= 0) {
		close(fd);
		errno = EBUSY;
		return -1;
	}
	*slot_of(puppet, slot) = fd;
	return fd;
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
		return put(puppet, number(line, 2, 0), dup(fd));
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
		return make_socket(puppet, line);
	if (!strcmp(name, "take"))
		return take(puppet, slot);
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
