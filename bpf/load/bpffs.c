/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Finds a bpffs for the pins, and mounts one where there is none: at /sys/fs/bpf, where everybody looks,
 * or where that is read-only (containers) at /run/flowspan/bpf. `ip netns exec` hides /sys/fs/bpf behind
 * a fresh sysfs, so the check is for the file system's type, not for the directory.
 */
#include "load/bpffs.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shared/directory.h"
#include "shared/log.h"

bool bpffs__is(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* Makes a directory that nobody else may write to. 0, or -1 after saying why. */
static int directory__make(const char *path, mode_t mode)
{
	int fd = directory__open(path, DIRECTORY_OWN, mode);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int bpffs__mount(const char *path)
{
	return mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755");
}

const char *bpffs__mounted(void)
{
	if (bpffs__is(BPFFS_USUAL))
		return BPFFS_USUAL;
	return bpffs__is(BPFFS_OWN) ? BPFFS_OWN : NULL;
}

const char *bpffs__find(void)
{
	const char *mounted = bpffs__mounted();

	if (mounted)
		return mounted;
	if (bpffs__mount(BPFFS_USUAL) == 0) {
		log_info("mounted bpffs at " BPFFS_USUAL);
		return BPFFS_USUAL;
	}
	if (directory__make(BPFFS_OWN, 0755) == 0 && bpffs__mount(BPFFS_OWN) == 0) {
		log_info("mounted bpffs at " BPFFS_OWN ": " BPFFS_USUAL " cannot be used");
		return BPFFS_OWN;
	}
	log_error("no bpffs, and mounting one failed: %s; run: " BPFFS_MOUNT_COMMAND, strerror(errno));
	return NULL;
}

/* The closest directory above or at `path` that exists, in `found`. */
static void path__existing(const char *path, char *found, size_t size)
{
	struct stat file;
	char *slash;

	snprintf(found, size, "%s", path);
	while (stat(found, &file) && (slash = strrchr(found, '/')) && slash != found)
		*slash = '\0';
}

bool bpffs__holds(const char *path)
{
	char existing[PATH_MAX];

	path__existing(path, existing, sizeof(existing));
	return bpffs__is(existing);
}

int bpffs__make(const char *path)
{
	char existing[PATH_MAX];

	if (!bpffs__holds(path) && strncmp(path, BPFFS_USUAL "/", sizeof(BPFFS_USUAL)) == 0 &&
	    bpffs__mount(BPFFS_USUAL) == 0)
		log_info("mounted bpffs at " BPFFS_USUAL);
	path__existing(path, existing, sizeof(existing));
	if (directory__make(path, 0700)) {
		if (!bpffs__is(existing))
			log_error("--pins %s: no bpffs is mounted there; in a container mount the host's " BPFFS_USUAL,
				  path);
		return -1;
	}
	if (!bpffs__is(existing) && !bpffs__is(path)) {
		if (bpffs__mount(path)) {
			log_error("%s is not on a bpffs, and mounting one there failed: %s; choose a directory "
				  "under " BPFFS_USUAL,
				  path, strerror(errno));
			return -1;
		}
		log_info("mounted bpffs at %s", path);
	}
	return 0;
}
