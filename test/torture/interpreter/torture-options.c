/* SPDX-License-Identifier: Apache-2.0 */
/* Socket options by name: `nodelay`, `linger=0`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include "torture.h"

struct option {
	const char *name;
	int level, option, value; /* value -1: the number behind "=" */
};

static const struct option OPTIONS[] = {
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY, 1 },     { "cork", IPPROTO_TCP, TCP_CORK, 1 },
	{ "uncork", IPPROTO_TCP, TCP_CORK, 0 },         { "quickack", IPPROTO_TCP, TCP_QUICKACK, -1 },
	{ "defer", IPPROTO_TCP, TCP_DEFER_ACCEPT, -1 }, { "patience", IPPROTO_TCP, TCP_USER_TIMEOUT, -1 },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE, 1 },   { "idle", IPPROTO_TCP, TCP_KEEPIDLE, -1 },
	{ "every", IPPROTO_TCP, TCP_KEEPINTVL, -1 },    { "probes", IPPROTO_TCP, TCP_KEEPCNT, -1 },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF, -1 },        { "rcvbuf", SOL_SOCKET, SO_RCVBUF, -1 },
	{ "clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP, -1 }, { "mss", IPPROTO_TCP, TCP_MAXSEG, -1 },
	{ "syns", IPPROTO_TCP, TCP_SYNCNT, -1 },        { "linger2", IPPROTO_TCP, TCP_LINGER2, -1 },
	{ "reuse", SOL_SOCKET, SO_REUSEADDR, 1 },       { "reuseport", SOL_SOCKET, SO_REUSEPORT, 1 },
	{ "fastopen", IPPROTO_TCP, TCP_FASTOPEN, -1 },  { "fastconnect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1 },
	{ "v6only", IPPROTO_IPV6, IPV6_V6ONLY, -1 },
};

/* `name` or `name=value`, those of OPTIONS and three more. */
static int set_option(int fd, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : strlen(text);
	int given = equals ? atoi(equals + 1) : 0;

	if (!strcmp(text, "nonblocking"))
		return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (!strncmp(text, "linger=", 7)) {
		struct linger linger = { given >= 0, given > 0 ? given : 0 };

		return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(*OPTIONS); i++) {
		const struct option *o = &OPTIONS[i];
		int value = o->value < 0 ? given : o->value;

		if (strlen(o->name) == length && !strncmp(o->name, text, length))
			return setsockopt(fd, o->level, o->option, &value, sizeof(value));
	}
	errno = EINVAL;
	return -1;
}

int set_options(int fd, const struct line *line, int first)
{
	int result = 0;

	for (int i = first; i < line->count; i++)
		if (set_option(fd, line->words[i]))
			result = -1;
	return result;
}
