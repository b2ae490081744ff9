/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * /proc/1/net/stat and /proc/sys of the first net namespace → how full the neighbour tables are. Other namespaces have neither:
 * there is one table for each address family in the whole kernel.
 */
#include "exchange/neighbour_tables.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exchange/proc_stat.h"

static const struct {
	__u32 family;
	const char *statistics, *thresholds;
} tables[] = {
	{ AF_INET, "/proc/1/net/stat/arp_cache", "/proc/sys/net/ipv4/neigh/default/gc_thresh%d" },
	{ AF_INET6, "/proc/1/net/stat/ndisc_cache", "/proc/sys/net/ipv6/neigh/default/gc_thresh%d" },
};

static void column__take(void *context, const char *name, __u64 number)
{
	struct frame_neighbour_table *table = context;

	if (strcmp(name, "entries") == 0)
		table->entries = number; /* the same in each CPU's line */
	else if (strcmp(name, "table_fulls") == 0)
		table->table_fulls += number;
	else if (strcmp(name, "res_failed") == 0)
		table->unresolved += number;
}

/* The content of a small file in /proc. False where it is not there. */
static bool file__read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = 0;
	size_t used = 0;

	if (fd < 0)
		return false;
	while (used < size - 1 && (length = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)length;
	close(fd);
	text[used] = '\0';
	return length >= 0 && used > 0;
}

static __u32 threshold__read(const char *format, int number)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), format, number);
	return file__read(path, text, sizeof(text)) ? (__u32)strtoul(text, NULL, 10) : 0;
}

bool neighbour_tables__send(struct output *output)
{
	static char text[64 * 1024];

	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct frame_neighbour_table table = {
			.family = tables[i].family,
			.gc_thresh1 = threshold__read(tables[i].thresholds, 1),
			.gc_thresh2 = threshold__read(tables[i].thresholds, 2),
			.gc_thresh3 = threshold__read(tables[i].thresholds, 3),
		};

		if (!table.gc_thresh3 || !file__read(tables[i].statistics, text, sizeof(text)))
			continue;
		proc_stat__parse(text, column__take, &table);
		if (!output__frame(output, FRAME_NEIGHBOUR_TABLE, &table, sizeof(table)))
			return false;
	}
	return true;
}
