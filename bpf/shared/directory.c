/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A path that root uses is only as good as each directory in it. Whoever may write to one of them can put a link or
 * another directory under the next name. So the walk holds each directory open while it looks at the next name.
 */
#include "shared/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/log.h"

#define LINKS_MAX 16

struct walk {
	int fd;
	int links;
	char at[PATH_MAX];   /* what `fd` was reached by */
	char rest[PATH_MAX]; /* what is still to come */
};

bool owner__is_trusted(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

static bool others__may_write(const struct stat *directory)
{
	return directory->st_mode & S_IWOTH || (directory->st_mode & S_IWGRP && directory->st_gid != 0);
}

/* Whether what is in the directory behind `walk` stays what it is. @param is_last it is the one that was asked for */
static int walk__judge(const struct walk *walk, enum directory_use use, bool is_last)
{
	bool sticky_helps = !is_last || use == DIRECTORY_SHARED;
	struct stat directory;

	if (fstat(walk->fd, &directory)) {
		log_error("%s: %s", walk->at, strerror(errno));
		return -1;
	}
	if (!owner__is_trusted(directory.st_uid)) {
		log_error("%s belongs to user %u, who could replace what is in it: remove it if you do not know it, or "
			  "choose a directory of root's",
			  walk->at, directory.st_uid);
		errno = EPERM;
		return -1;
	}
	if ((is_last && use == DIRECTORY_SHARED) || !others__may_write(&directory) ||
	    (sticky_helps && directory.st_mode & S_ISVTX))
		return 0;
	log_error("%s has mode %04o, so others could replace what is in it; run: chmod go-w %s", walk->at,
		  directory.st_mode & 07777, walk->at);
	errno = EPERM;
	return -1;
}

/* Puts what the link says in front of the rest. */
static int walk__follow(struct walk *walk, const char *name, const struct stat *link)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t length;

	if (!owner__is_trusted(link->st_uid)) {
		log_error("%s/%s is a link that belongs to user %u: remove it, or name the directory itself", walk->at,
			  name, link->st_uid);
		errno = EPERM;
		return -1;
	}
	length = readlinkat(walk->fd, name, target, sizeof(target) - 1);
	if (length > 0)
		target[length] = '\0';
	if (length <= 0 || ++walk->links > LINKS_MAX ||
	    snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest) >= (int)sizeof(rest)) {
		log_error("%s/%s: this link cannot be followed; name the directory itself", walk->at, name);
		errno = ELOOP;
		return -1;
	}
	memcpy(walk->rest, rest, sizeof(rest));
	if (target[0] != '/')
		return 0;
	close(walk->fd);
	walk->at[0] = '\0';
	walk->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return walk->fd < 0 ? -1 : 0;
}

/* One name further. */
static int walk__step(struct walk *walk, const char *name, mode_t make)
{
	size_t used = strlen(walk->at);
	struct stat file;
	int next, missing = fstatat(walk->fd, name, &file, AT_SYMLINK_NOFOLLOW);

	if (missing && errno == ENOENT && make)
		missing = (mkdirat(walk->fd, name, make) && errno != EEXIST) ||
			  fstatat(walk->fd, name, &file, AT_SYMLINK_NOFOLLOW);
	if (missing) {
		if (errno != ENOENT || make)
			log_error("%s/%s: cannot %s this directory: %s; choose another", walk->at, name,
				  make ? "make" : "open", strerror(errno));
		return -1;
	}
	if (S_ISLNK(file.st_mode))
		return walk__follow(walk, name, &file);
	next = openat(walk->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 ||
	    snprintf(walk->at + used, sizeof(walk->at) - used, "/%s", name) >= (int)(sizeof(walk->at) - used)) {
		log_error("%s/%s: cannot open this directory: %s; choose another", walk->at, name,
			  next < 0 ? strerror(errno) : strerror(ENAMETOOLONG));
		return -1;
	}
	close(walk->fd);
	walk->fd = next;
	return 0;
}

/* Takes the next name off the rest. One that is too long stays so, for the kernel to refuse. False at the end. */
static bool walk__next(struct walk *walk, char name[NAME_MAX + 2])
{
	size_t slashes = strspn(walk->rest, "/"), length = strcspn(walk->rest + slashes, "/");

	if (!length)
		return false;
	snprintf(name, NAME_MAX + 2, "%.*s", (int)length, walk->rest + slashes);
	memmove(walk->rest, walk->rest + slashes + length, strlen(walk->rest + slashes + length) + 1);
	return true;
}

int directory__open(const char *path, enum directory_use use, mode_t make)
{
	struct walk walk = { .fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	char name[NAME_MAX + 2];
	int failed = walk.fd < 0, error;

	if (path[0] != '/' || snprintf(walk.rest, sizeof(walk.rest), "%s", path) >= (int)sizeof(walk.rest)) {
		log_error("%s: must be an absolute path of at most %d bytes", path, PATH_MAX - 1);
		errno = EINVAL;
		failed = 1;
	}
	while (!failed && walk__next(&walk, name))
		failed = walk__step(&walk, name, make) || walk__judge(&walk, use, !walk.rest[strspn(walk.rest, "/")]);
	if (!failed)
		return walk.fd;
	error = errno;
	if (walk.fd >= 0)
		close(walk.fd);
	errno = error;
	return -1;
}

int directory__open_parent(const char *path, enum directory_use use, mode_t make)
{
	char parent[PATH_MAX];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (!slash) {
		log_error("%s: must be an absolute path", path);
		errno = EINVAL;
		return -1;
	}
	slash[slash == parent ? 1 : 0] = '\0';
	return directory__open(parent, use, make);
}
