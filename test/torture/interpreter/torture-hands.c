/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a socket: descriptors handed to another process, children that inherit them, cgroups that change. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "torture.h"

int give(struct puppet *puppet, int fd)
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

int take(struct puppet *puppet, int slot)
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
	return put(puppet, slot, fd);
}

/* fork: a child that holds all slots and does nothing until `reap` lets it end */
int fork_child(struct puppet *puppet)
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

int reap(struct puppet *puppet)
{
	int ended = puppet->children;

	while (puppet->children > 0)
		close(puppet->child_pipe[--puppet->children]);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	return ended;
}

/* cgroup NAME: moves this puppet */
int move(struct puppet *puppet, const char *name)
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
