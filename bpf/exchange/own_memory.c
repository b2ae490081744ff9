/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * /proc/self/cgroup and the mounts → a directory, once; its files and those above it → two numbers, at each exchange. A limit
 * may change while we run. Above a mount's top there are no such files, so the way up ends there by itself.
 */
#include "exchange/own_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/log.h"

#define LEVELS_MAX 32
#define SEARCHED_MAX 65536        /* directories */
#define V1_UNLIMITED (1ULL << 62) /* and above: v1 rounds the largest number down to whole pages */

const char *own_memory__parse_name(char *text, bool *is_v1)
{
	const char *name = NULL;
	char *lines, *line;

	*is_v1 = false;
	for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		*path++ = 0;
		controllers++;
		if (strcmp(controllers, "memory") == 0) { /* alone in its hierarchy wherever it is one of v1 */
			*is_v1 = true;
			return path;
		}
		if (!controllers[0])
			name = path;
	}
	return name;
}

__u64 own_memory__parse_bytes(const char *text)
{
	unsigned long long bytes;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	bytes = strtoull(text, NULL, 10);
	return bytes < V1_UNLIMITED ? bytes : 0;
}

/* True when our pid is one of those in the cgroup at `directory`. */
static bool cgroup__has_us(int directory)
{
	int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	bool found = false;
	int pid;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && fscanf(file, "%d", &pid) == 1)
		found = pid == getpid();
	fclose(file);
	return found;
}

/* The cgroup among those at and below `fd` that we are in, open; -1: none. Closes `fd`. */
static int cgroup__search(int fd, int level, int *left)
{
	DIR *directory;
	struct dirent *entry;
	int found = -1;

	if (cgroup__has_us(fd))
		return fd;
	directory = level < LEVELS_MAX ? fdopendir(fd) : NULL;
	if (!directory) {
		close(fd);
		return -1;
	}
	while (found < 0 && *left > 0 && (entry = readdir(directory))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		--*left;
		found = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (found >= 0)
			found = cgroup__search(found, level + 1, left);
	}
	closedir(directory);
	return found;
}

static int cgroup__open(const char *mount, const char *name)
{
	char path[2 * PATH_MAX];
	int fd, left = SEARCHED_MAX;

	snprintf(path, sizeof(path), "%s%s", mount, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && cgroup__has_us(fd))
		return fd;
	if (fd >= 0)
		close(fd);
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : cgroup__search(fd, 0, &left);
}

static size_t file__read(int directory, const char *path, char *text, size_t size)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	if (fd < 0)
		return 0;
	while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	text[length] = 0;
	return length;
}

void own_memory__open(struct own_memory *memory)
{
	static char text[4 * PATH_MAX];
	const char *name = NULL;
	struct mntent *mount;
	FILE *mounts;

	memory->directory = -1;
	if (file__read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)))
		name = own_memory__parse_name(text, &memory->is_v1);
	mounts = name ? setmntent("/proc/self/mounts", "r") : NULL;
	while (mounts && memory->directory < 0 && (mount = getmntent(mounts))) {
		if (memory->is_v1 ? strcmp(mount->mnt_type, "cgroup") == 0 && hasmntopt(mount, "memory")
				  : strcmp(mount->mnt_type, "cgroup2") == 0)
			memory->directory = cgroup__open(mount->mnt_dir, name);
	}
	if (mounts)
		endmntent(mounts);
	if (memory->directory < 0)
		log_info("the probe's own cgroup is not visible: its memory limit is not known");
}

void own_memory__read(const struct own_memory *memory, __u64 *usage, __u64 *limit)
{
	const char *usage_file = memory->is_v1 ? "memory.usage_in_bytes" : "memory.current";
	const char *limit_file = memory->is_v1 ? "memory.limit_in_bytes" : "memory.max";
	char path[3 * LEVELS_MAX + 32] = "", number[32];
	size_t up = 0;
	bool seen = false;

	*usage = *limit = 0;
	for (int level = 0; memory->directory >= 0 && level < LEVELS_MAX; level++) {
		__u64 used, most = 0;

		snprintf(path + up, sizeof(path) - up, "%s", usage_file);
		if (file__read(memory->directory, path, number, sizeof(number))) {
			used = own_memory__parse_bytes(number);
			snprintf(path + up, sizeof(path) - up, "%s", limit_file);
			if (file__read(memory->directory, path, number, sizeof(number)))
				most = own_memory__parse_bytes(number);
			if (!seen || (most && (!*limit || most < *limit))) {
				*usage = used;
				*limit = most;
			}
			seen = true;
		} else if (seen) {
			break; /* the hierarchy's root, or what is above its mount */
		}              /* else: without the controller a cgroup's memory is charged to the one above */
		snprintf(path + up, sizeof(path) - up, "../");
		up += 3;
	}
}
