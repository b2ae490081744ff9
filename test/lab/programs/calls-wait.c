/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait for the kernel, ten seconds at most, so that no line of a play needs a pause. */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define WAIT_MS 10000

static int state_of(int s)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	if (getsockopt(sockets[s], IPPROTO_TCP, TCP_INFO, &info, &size))
		die("TCP_INFO");
	return info.tcpi_state;
}

static int queued(int s, unsigned long request)
{
	int bytes;

	if (ioctl(sockets[s], request, &bytes))
		die("ioctl");
	return bytes;
}

/*
 * @param tried how often before
 * @return whether to look again; after WAIT_MS it fails
 */
static int again(int *tried)
{
	struct timespec a_moment = { .tv_nsec = 1000000 };

	if ((*tried)++ < WAIT_MS) {
		nanosleep(&a_moment, NULL);
		return 1;
	}
	errno = ETIMEDOUT;
	return 0;
}

int do_state(int s, int state)
{
	int tried = 0;

	while (state_of(s) != state)
		if (!again(&tried))
			return -1;
	return 0;
}

int do_drained(int s, __attribute__((unused)) int unused)
{
	int tried = 0;

	while (queued(s, SIOCOUTQ))
		if (!again(&tried))
			return -1;
	return 0;
}

/* Until so much lies in the receive queue. */
int do_unread(int s, int bytes)
{
	int tried = 0;

	while (queued(s, SIOCINQ) < bytes)
		if (!again(&tried))
			return -1;
	return 0;
}

static int any_in(int state)
{
	FILE *table = fopen("/proc/self/net/tcp", "re");
	int found = 0;
	unsigned int each;
	char line[256];

	if (!table)
		die("/proc/self/net/tcp");
	while (!found && fgets(line, sizeof(line), table))
		found = sscanf(line, "%*d: %*s %*s %x", &each) == 1 && (int)each == state;
	fclose(table);
	return found;
}

/* Until no socket of the namespace is in that state, not even one that belongs to no process any more. */
int do_none(__attribute__((unused)) int unused, int state)
{
	int tried = 0;

	while (any_in(state))
		if (!again(&tried))
			return -1;
	return 0;
}
