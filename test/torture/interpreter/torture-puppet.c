/* SPDX-License-Identifier: Apache-2.0 */
/* A puppet: takes a line, makes the call, answers `CALL SLOT FROM_NS TO_NS RESULT ERRNO name=value...`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "torture.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

uint64_t boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void say(struct reply *reply, const char *format, ...)
{
	size_t room = sizeof(reply->text) - reply->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(reply->text + reply->length, room, format, arguments);
	va_end(arguments);
	if (length > 0)
		reply->length += (size_t)length < room ? (size_t)length : room - 1;
}

const char *word(const struct line *line, int i, const char *otherwise)
{
	return i < line->count ? line->words[i] : otherwise;
}

int number(const struct line *line, int i, int otherwise)
{
	return i < line->count ? atoi(line->words[i]) : otherwise;
}

/* An IPv4 address for an IPv6 socket is written v4-mapped: ::ffff:127.0.0.1. */
socklen_t address(const char *text, int port, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *v6 = (void *)to;
	struct sockaddr_in *v4 = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	inet_pton(AF_INET6, text, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static void say_end(struct reply *reply, const char *name, const struct sockaddr_storage *end)
{
	const struct sockaddr_in6 *v6 = (const void *)end;
	const struct sockaddr_in *v4 = (const void *)end;
	char text[INET6_ADDRSTRLEN] = "-";

	if (end->ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
	else if (end->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
	say(reply, " %s=%s/%u", name, text, ntohs(v4->sin_port));
}

void say_ends(struct reply *reply, int fd)
{
	struct sockaddr_storage end;
	socklen_t size = sizeof(end);

	memset(&end, 0, sizeof(end));
	if (!getsockname(fd, (void *)&end, &size))
		say_end(reply, "local", &end);
	memset(&end, 0, sizeof(end));
	size = sizeof(end);
	if (!getpeername(fd, (void *)&end, &size))
		say_end(reply, "remote", &end);
}

/* The kernel's own books of a socket, as `ss -ti` shows them, and what the application has not read. */
void say_info(struct reply *reply, int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int unread = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		return;
	if (ioctl(fd, FIONREAD, &unread))
		unread = -1;
	say(reply, " state=%u unread=%d acked=%llu received=%llu sent=%llu retrans=%llu unsent=%u unacked=%u",
	    info.tcpi_state, unread, info.tcpi_bytes_acked, info.tcpi_bytes_received, info.tcpi_bytes_sent,
	    info.tcpi_bytes_retrans, info.tcpi_notsent_bytes, info.tcpi_unacked);
	say(reply, " segs_out=%u segs_in=%u total_retrans=%u dsack=%u ooo=%u busy=%llu rtt=%u min_rtt=%u",
	    info.tcpi_segs_out, info.tcpi_segs_in, info.tcpi_total_retrans, info.tcpi_dsack_dups, info.tcpi_rcv_ooopack,
	    info.tcpi_busy_time, info.tcpi_rtt, info.tcpi_min_rtt);
}

static void cut(char *text, struct line *line)
{
	char *rest = text, *next;

	line->count = 0;
	while (line->count < WORDS && (next = strsep(&rest, " ")))
		if (*next)
			line->words[line->count++] = next;
}

static void answer(struct puppet *puppet, const struct line *line, struct reply *reply)
{
	struct reply more = { 0 };
	uint64_t from = boot_ns();
	int result, error;

	if (!strcmp(line->words[0], "closeall")) {
		for (int slot = 0; slot < SLOTS; slot++)
			close_slot(puppet, slot, reply);
		return;
	}
	errno = 0;
	result = call(puppet, line, &more);
	if (result == -2)
		result = trick(puppet, line, &more);
	error = result < 0 ? errno : 0;
	say(reply, "%s %s %lu %lu %d %d%s\n", line->words[0], word(line, 1, "-"), from, boot_ns(), result, error,
	    more.text);
}

void puppet_run(struct puppet *puppet, int channel)
{
	static struct reply reply;
	char text[LINE_BYTES];
	struct line line;
	ssize_t length;

	while ((length = recv(channel, text, sizeof(text) - 1, 0)) > 0) {
		text[length] = 0;
		cut(text, &line);
		reply.length = 0;
		reply.text[0] = 0;
		if (line.count > 0)
			answer(puppet, &line, &reply);
		if (send(channel, reply.text, reply.length ? reply.length : 1, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}
