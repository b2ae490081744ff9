/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * One thread of each net namespace (the `namespaces` iterator finds them) gives access to that namespace's
 * counters through /proc/TID/net, which needs no privilege. /proc lists no thread that is not its process's first,
 * but has a directory for each.
 */
#include "exchange/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exchange/proc_snmp.h"
#include "shared/log.h"

/* Appends the file to `text`. Returns the new length, 0 when it cannot be read or does not fit. */
static size_t file__append(char *text, size_t size, size_t used, __u32 pid, const char *name)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/net/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((length = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)length;
	close(fd);
	if (length < 0 || used == size - 1)
		return 0;
	text[used] = '\0';
	return used;
}

struct sending {
	struct pinned_maps *maps;
	struct output *output;
};

static void namespace__send(struct sending *sending, const struct namespace_seen *seen)
{
	struct frame_namespace frame = { .netns = seen->netns, .pid = seen->pid, .cookie = seen->cookie };
	static char text[32 * 1024];
	size_t used = file__append(text, sizeof(text), 0, seen->pid, "snmp");

	used = used ? file__append(text, sizeof(text), used, seen->pid, "netstat") : 0;
	if (used && proc_snmp__parse(&frame, text))
		output__frame(sending->output, FRAME_NAMESPACE, &frame, sizeof(frame));
	else
		loss__count(sending->maps, LOSS_NAMESPACE_UNREADABLE, 1);
}

static void namespaces__take(void *context, const void *bytes, size_t length)
{
	struct namespace_seen seen;

	for (size_t at = 0; at + sizeof(seen) <= length; at += sizeof(seen)) {
		memcpy(&seen, (const char *)bytes + at, sizeof(seen));
		namespace__send(context, &seen);
	}
}

void namespaces__send(const struct programs *programs, struct pinned_maps *maps, struct output *output)
{
	struct sending sending = { .maps = maps, .output = output };
	int failed = programs->namespaces ? iterator__run(programs->namespaces, namespaces__take, &sending) : 0;

	if (failed) {
		log_warn("cannot list net namespaces: %s", strerror(-failed));
		loss__count(maps, LOSS_NAMESPACE_UNREADABLE, 1);
	}
}
