/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The socket is bound under another name and renamed into place once the probe is ready: an agent finds
 * the old probe or the new one, never none. Mode 0660: who may connect is a matter of owner and group.
 */
#include "serve/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "load/bpffs.h"
#include "shared/log.h"

static void path__new(const struct options *options, struct sockaddr_un *address)
{
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s.new", options->socket_path);
}

static void parent__make(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash && slash != directory) {
		*slash = '\0';
		directory__make(directory, 0755);
	}
}

int listener__open(const struct options *options)
{
	struct sockaddr_un address = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	path__new(options, &address);
	parent__make(options->socket_path);
	unlink(address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(address.sun_path, 0660) ||
	    ((options->socket_uid != (uid_t)-1 || options->socket_gid != (gid_t)-1) &&
	     chown(address.sun_path, options->socket_uid, options->socket_gid)) ||
	    listen(fd, 4)) {
		log_error("--socket %s: %s; choose a path in a directory that this user may write to",
			  options->socket_path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int listener__publish(const struct options *options)
{
	struct sockaddr_un address = { 0 };

	path__new(options, &address);
	if (rename(address.sun_path, options->socket_path)) {
		log_error("--socket %s: %s", options->socket_path, strerror(errno));
		return -1;
	}
	return 0;
}
