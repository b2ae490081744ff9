/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is open at a barrier: every TCP socket of the namespace as `ss` shows it, and the kernel's books.
 *
 *     look LINE FROM_NS    socket STATE RECVQ SENDQ LOCAL REMOTE ino:INODE ...    holds PID INODE    looked LINE TO_NS
 *
 * `ss` lists sockets of which no process has a file: orphans, those in an accept queue, those on their way. Who has one
 * is read from the processes of the program's cgroups: `ss -p` would go through the whole machine's.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "torture.h"

static void print_books(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[8192];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "Tcp", 3))
			printf("books %s", line);
	if (file)
		fclose(file);
}

void books_print(void)
{
	print_books("/proc/self/net/snmp");
	print_books("/proc/self/net/netstat");
}

static void print_sockets(void)
{
	FILE *ss = popen("ss -HOtaine 2>&1", "r");
	char line[4096];

	while (ss && fgets(line, sizeof(line), ss))
		printf("socket %s", line);
	if (!ss || pclose(ss))
		printf("socket none: ss failed\n");
}

static void print_sockets_of(int pid)
{
	char path[64], target[64];
	struct dirent *entry;
	unsigned long inode;
	DIR *files;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	files = opendir(path);
	while (files && (entry = readdir(files))) {
		ssize_t length = readlinkat(dirfd(files), entry->d_name, target, sizeof(target) - 1);

		target[length < 0 ? 0 : length] = 0;
		if (sscanf(target, "socket:[%lu]", &inode) == 1)
			printf("holds %d %lu\n", pid, inode);
	}
	if (files)
		closedir(files);
}

static void print_holders(const char *cgroups)
{
	char path[512];
	int pid;

	for (char name = 'a'; name <= 'c'; name++) {
		FILE *list;

		snprintf(path, sizeof(path), "%s/%c/cgroup.procs", cgroups, name);
		list = fopen(path, "r");
		while (list && fscanf(list, "%d", &pid) == 1)
			print_sockets_of(pid);
		if (list)
			fclose(list);
	}
}

void look_print(const char *cgroups, int line)
{
	printf("look %d %lu\n", line, boot_ns());
	print_sockets();
	print_holders(cgroups);
	books_print();
	printf("looked %d %lu\n", line, boot_ns());
}
