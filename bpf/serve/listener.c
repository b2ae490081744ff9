/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The socket is bound under another name and renamed into place once the probe is ready: an agent finds
 * the old probe or the new one, never none. Mode 0660: who may connect is a matter of owner and group.
 *
 * Others may write to the directory, a pod's volume is such a one. So the mode comes from the umask of bind(), owner and
 * group are set through a descriptor of the socket's file, and what is renamed is that very file.
 */
#include "serve/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/directory.h"
#include "shared/log.h"

#define NOT_0660 0117

static void path__new(const struct options *options, struct sockaddr_un *address)
{
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s.new", options->socket_path);
}

static const char *name__in(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* 1 where `path` is a socket, 0 where there is nothing, -1 after saying what else it is. */
static int socket__find(int directory, const char *path, struct stat *file)
{
	if (fstatat(directory, name__in(path), file, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISSOCK(file->st_mode))
			return 1;
		log_error("--socket: %s is a %s of user %u, and no socket: remove it, or choose another path", path,
			  S_ISLNK(file->st_mode) ? "link" : "file", file->st_uid);
		return -1;
	}
	if (errno == ENOENT)
		return 0;
	log_error("--socket %s: %s", path, strerror(errno));
	return -1;
}

/* Removes what a probe has left that died while it started. */
static int path__clear(int directory, const char *path)
{
	struct stat file;
	int found = socket__find(directory, path, &file);

	if (found > 0 && unlinkat(directory, name__in(path), 0)) {
		log_error("--socket: %s: cannot remove: %s", path, strerror(errno));
		return -1;
	}
	return found < 0 ? -1 : 0;
}

/* Gives the socket's file, just bound at `path`, to whom the options name. */
static int socket__give(struct listener *listener, const char *path, const struct options *options)
{
	int fd = openat(listener->directory, name__in(path), O_PATH | O_NOFOLLOW | O_CLOEXEC), failed = -1;
	struct stat file;

	if (fd < 0 || fstat(fd, &file)) {
		log_error("--socket: %s: %s", path, strerror(errno));
	} else if (!S_ISSOCK(file.st_mode) || file.st_uid != geteuid()) {
		log_error("--socket: %s was replaced by user %u while this probe made it: choose another directory",
			  path, file.st_uid);
	} else if ((options->socket_uid != (uid_t)-1 || options->socket_gid != (gid_t)-1) &&
		   fchownat(fd, "", options->socket_uid, options->socket_gid, AT_EMPTY_PATH)) {
		log_error("--socket-uid, --socket-gid: cannot give %s away: %s; allow CAP_CHOWN, or give only a group "
			  "that the probe has itself",
			  options->socket_path, strerror(errno));
	} else {
		listener->device = file.st_dev;
		listener->inode = file.st_ino;
		failed = 0;
	}
	if (fd >= 0)
		close(fd);
	return failed;
}

static int socket__bind(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(NOT_0660);
	int failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(before);
	return failed;
}

int listener__open(struct listener *listener, const struct options *options)
{
	struct sockaddr_un address = { 0 };
	struct stat file;

	path__new(options, &address);
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	listener->directory = directory__open_parent(options->socket_path, DIRECTORY_SHARED, 0755);
	if (listener->directory < 0) {
		log_error("--socket %s: its directory cannot be used; in a container mount one that the agent has too",
			  options->socket_path);
		return -1;
	}
	if (path__clear(listener->directory, address.sun_path) ||
	    socket__find(listener->directory, options->socket_path, &file) < 0)
		return -1;
	if (listener->fd < 0 || socket__bind(listener->fd, &address) || listen(listener->fd, 4)) {
		log_error("--socket %s: %s; choose a path in a directory that this user may write to",
			  options->socket_path, strerror(errno));
		return -1;
	}
	return socket__give(listener, address.sun_path, options);
}

static bool socket__is_ours(const struct listener *listener, const char *path)
{
	struct stat file;

	return fstatat(listener->directory, name__in(path), &file, AT_SYMLINK_NOFOLLOW) == 0 &&
	       file.st_dev == listener->device && file.st_ino == listener->inode;
}

int listener__publish(struct listener *listener, const struct options *options)
{
	struct sockaddr_un address = { 0 };
	int failed = -1;

	path__new(options, &address);
	if (!socket__is_ours(listener, address.sun_path))
		log_error("--socket: %s was removed or replaced while this probe started: choose another directory",
			  address.sun_path);
	else if (renameat(listener->directory, name__in(address.sun_path), listener->directory,
			  name__in(options->socket_path)))
		log_error("--socket %s: %s", options->socket_path, strerror(errno));
	else if (!socket__is_ours(listener, options->socket_path))
		log_error("--socket: %s was replaced when it was put in place: choose another directory",
			  options->socket_path);
	else
		failed = 0;
	close(listener->directory);
	return failed;
}

/*
 * connect() with another type of socket never reaches a listener: the kernel looks the path's inode up and refuses the
 * type (EPROTOTYPE) where a socket is bound to it, also one of another mount namespace. Its table of Unix sockets has
 * names only, and those mean one thing in each mount namespace.
 */
static int socket__is_bound(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), bound = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		log_error("--socket: %s takes datagrams, so no probe made it: remove it", path);
	else if (fd >= 0 && errno == EPROTOTYPE)
		bound = 1;
	else if (fd >= 0 && (errno == ECONNREFUSED || errno == ENOENT))
		bound = 0;
	else
		log_error("--socket: %s: cannot be asked: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return bound;
}

int listener__ask(const struct options *options)
{
	int directory = directory__open_parent(options->socket_path, DIRECTORY_SHARED, 0);
	struct stat file;
	int found;

	if (directory < 0 && errno != ENOENT)
		return -1;
	found = directory < 0 ? 0 : socket__find(directory, options->socket_path, &file);
	if (directory >= 0)
		close(directory);
	if (found > 0 && !owner__is_trusted(file.st_uid) && file.st_uid != options->socket_uid) {
		log_error("--socket: %s belongs to user %u, so no probe of root's made it: remove it, or choose "
			  "another path",
			  options->socket_path, file.st_uid);
		return -1;
	}
	if (found > 0)
		found = socket__is_bound(options->socket_path);
	if (found < 0)
		return -1;
	printf("{\"listening\": %s}\n", found ? "true" : "false");
	return 0;
}
