/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * One thread of each net namespace (the `namespaces` iterator finds them) gives access to that namespace's
 * counters through /proc/TID/net, which needs no privilege. /proc lists no thread that is not its process's first,
 * but has a directory for each.
 */
#include "exchange/namespaces.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exchange/proc_snmp.h"
#include "exchange/proc_stat.h"
#include "flowspan.skel.h"
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

static const struct {
	const char *name;
	size_t offset;
} conntrack_counters[] = {
	{ "insert_failed", offsetof(struct conntrack_counters, insert_failed) },
	{ "drop", offsetof(struct conntrack_counters, drop) },
	{ "early_drop", offsetof(struct conntrack_counters, early_drop) },
};
#define CONNTRACK_COUNTERS (sizeof(conntrack_counters) / sizeof(conntrack_counters[0]))

/* The first column is the same in each CPU's line: entries. */
static void conntrack__take(void *context, const char *name, __u64 number)
{
	struct conntrack_counters *conntrack = context;

	if (strcmp(name, "entries") == 0)
		conntrack->entries = number;
	for (unsigned i = 0; i < CONNTRACK_COUNTERS; i++) {
		if (strcmp(conntrack_counters[i].name, name) == 0)
			*(__u64 *)((char *)conntrack + conntrack_counters[i].offset) += number;
	}
}

/* nf_conntrack_max is the machine's: in other namespaces it can only be read. 0 where nothing is tracked. */
static __u64 conntrack__limit(void)
{
	FILE *file = fopen("/proc/sys/net/netfilter/nf_conntrack_max", "re");
	unsigned long long limit = 0;

	if (file && fscanf(file, "%llu", &limit) != 1)
		limit = 0;
	if (file)
		fclose(file);
	return limit;
}

/* False: it cannot be read. */
static bool namespace__send(struct exchange *exchange, const struct namespace_seen *seen)
{
	struct frame_namespace frame = {
		.netns = seen->netns, .pid = seen->pid, .cookie = seen->cookie, .cgroup = seen->cgroup
	};
	static char text[32 * 1024];
	size_t used = file__append(text, sizeof(text), 0, seen->pid, "snmp");

	used = used ? file__append(text, sizeof(text), used, seen->pid, "netstat") : 0;
	if (!used || !proc_snmp__parse(&frame, text))
		return false;
	if (file__append(text, sizeof(text), 0, seen->pid, "stat/nf_conntrack")) {
		proc_stat__parse(text, conntrack__take, &frame.conntrack);
		frame.conntrack.limit = conntrack__limit();
	}
	/* Names that are being learned just now come with the next exchange. */
	cgroup__announce(exchange, frame.cgroup);
	output__frame(exchange->output, FRAME_NAMESPACE, &frame, sizeof(frame));
	return true;
}

/*
 * A thread that was found may have ended when its files are opened, while others of its namespace live on. Such a namespace
 * is taken for unwritten again, so that the rest of this iteration, or the next one, finds another thread of it.
 */
#define ITERATIONS_MAX 4

struct iteration {
	struct exchange *exchange;
	__u64 unread;
	bool is_last;
};

static void namespaces__take(void *context, const void *bytes, size_t length)
{
	struct iteration *iteration = context;
	int written = bpf_map__fd(iteration->exchange->programs->skeleton->maps.namespaces_seen);
	const __u64 never = 0;
	struct namespace_seen seen;

	for (size_t at = 0; at + sizeof(seen) <= length; at += sizeof(seen)) {
		memcpy(&seen, (const char *)bytes + at, sizeof(seen));
		if (namespace__send(iteration->exchange, &seen))
			continue;
		iteration->unread++;
		if (!iteration->is_last)
			bpf_map_update_elem(written, &seen.netns, &never, BPF_EXIST);
	}
}

void namespaces__send(struct exchange *exchange)
{
	const struct bpf_link *namespaces = exchange->programs->namespaces;
	struct iteration iteration = { .exchange = exchange };
	int failed = 0;

	for (unsigned i = 1; namespaces && i <= ITERATIONS_MAX && !failed; i++) {
		iteration.unread = 0;
		iteration.is_last = i == ITERATIONS_MAX;
		failed = iterator__run(namespaces, namespaces__take, &iteration);
		if (!iteration.unread)
			break;
	}
	if (iteration.unread)
		loss__count(exchange->maps, LOSS_NAMESPACE_UNREADABLE, iteration.unread);
	if (failed) {
		log_warn("cannot list net namespaces: %s", strerror(-failed));
		loss__count(exchange->maps, LOSS_NAMESPACE_UNREADABLE, 1);
	}
}
