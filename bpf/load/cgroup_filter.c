/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A cgroup's id is its directory's inode number; its level is how many directories lie between it and
 * the hierarchy's true root, whose inode number is 1. In a container, /sys/fs/cgroup may show a part of
 * the hierarchy only: then the level cannot be known, and we say so instead of counting nothing.
 */
#include "load/cgroup_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shared/log.h"

#define CGROUP_ROOT_INODE 1

/* Steps from the open directory `fd` up to the root, -1 when the root is not visible. Closes `fd`. */
static int cgroup__level(int fd, const struct stat *directory)
{
	struct stat above = *directory;
	int level = 0, next;

	while (above.st_ino != CGROUP_ROOT_INODE) {
		next = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
		if (fd < 0 || fstat(fd, &above) || above.st_dev != directory->st_dev || ++level > 128) {
			level = -1;
			break;
		}
	}
	if (fd >= 0)
		close(fd);
	return level;
}

int cgroup_filter__find(struct cgroup_filter *filter, const char *path)
{
	struct stat directory;
	struct statfs fs;
	int fd, level;

	*filter = (struct cgroup_filter){ 0 };
	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &directory) || fstatfs(fd, &fs)) {
		log_error("--cgroup %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (fs.f_type != CGROUP2_SUPER_MAGIC) {
		log_error("--cgroup %s: not in the cgroup v2 hierarchy; `findmnt -t cgroup2` shows where that is",
			  path);
		close(fd);
		return -1;
	}
	level = cgroup__level(fd, &directory);
	if (level < 0) {
		log_error(
			"--cgroup %s: the hierarchy's root is not visible from here; mount the host's cgroup directory "
			"into this container",
			path);
		return -1;
	}
	if (level > 0) /* the root is the whole machine */
		*filter = (struct cgroup_filter){ .cgroup = directory.st_ino, .level = (uint32_t)level };
	return 0;
}
