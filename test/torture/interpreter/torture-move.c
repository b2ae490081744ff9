/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that move bytes, or wait until they have moved. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "torture.h"

bool is_ready(int fd, short events, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = events };

	return poll(&wait, 1, timeout_ms) > 0;
}

/* send SLOT BYTES [MS]: as much of it as goes until nothing goes for MS; @return bytes */
int send_slot(int fd, const struct line *line)
{
	static char zeros[65536];
	int left = number(line, 2, 1), ms = number(line, 3, 30), done = 0;

	while (left > 0) {
		ssize_t n = send(fd, zeros, left < (int)sizeof(zeros) ? (size_t)left : sizeof(zeros),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			done += n;
			left -= n;
		} else if (errno != EAGAIN || !is_ready(fd, POLLOUT, ms)) {
			break;
		}
	}
	return done > 0 ? done : left > 0 ? -1 : 0;
}

/* recv SLOT BYTES [MS]: until so many came, the end, an error, or nothing for MS; @return bytes */
int recv_slot(int fd, const struct line *line, struct reply *reply)
{
	static char buffer[65536];
	int left = number(line, 2, 1 << 30), ms = number(line, 3, 30), done = 0, end = 0, error = 0;

	while (left > 0 && !end && !error) {
		ssize_t n = recv(fd, buffer, left < (int)sizeof(buffer) ? (size_t)left : sizeof(buffer), MSG_DONTWAIT);

		if (n > 0) {
			done += n;
			left -= n;
		} else if (n == 0) {
			end = 1;
		} else if (errno != EAGAIN) {
			error = errno;
		} else if (!is_ready(fd, POLLIN, ms)) {
			break;
		}
	}
	say(reply, " end=%d error=%d", end, error);
	return done;
}

/* settle SLOT MS: until all that was sent is acknowledged */
int settle(int fd, const struct line *line, struct reply *reply)
{
	uint64_t deadline = boot_ns() + number(line, 2, 300) * 1000000ULL;
	int left = 0;

	do {
		if (ioctl(fd, SIOCOUTQ, &left))
			return -1;
		if (left)
			usleep(1000);
	} while (left && boot_ns() < deadline);
	say_info(reply, fd);
	return left;
}
