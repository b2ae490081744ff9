/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client worker: opens connections when they are due, and does what it is told. What a connection does is in
 * workload-connection.c.
 *
 * Commands: `send UPLOAD DOWNLOAD` plays one round on every idle connection, `close` ends them all.
 * Sockets are registered once, edge-triggered.
 */
#define _GNU_SOURCE
#include "workload-connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const struct worker *worker;
static int events_fd, ready_told, round_asked;
static uint64_t started;

static int open_socket(const struct endpoint *to, uint64_t number)
{
	int family = to->address.ss_family, on = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, client.options->protocol);

	if (fd < 0)
		die("socket");
	if (client.options->syn_retries &&
	    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &client.options->syn_retries, sizeof(client.options->syn_retries)))
		die("TCP_SYNCNT");
	if (client.options->user_timeout_ms &&
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &client.options->user_timeout_ms,
		       sizeof(client.options->user_timeout_ms)))
		die("TCP_USER_TIMEOUT");
	if (client.options->from_count) {
		const struct endpoint *from = &client.options->from[number % client.options->from_count];

		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&from->address, from->length))
			die("bind");
	}
	return fd;
}

/* Returns 0 when no local port is free now. */
static int start_connection(void)
{
	uint64_t number = started * worker->workers + worker->index;
	const struct endpoint *to = &client.options->to[number % client.options->to_count];
	struct connection *connection = client.free;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
	int fd = open_socket(to, number / client.options->to_count);

	if (connect(fd, (const struct sockaddr *)&to->address, to->length) && errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		if (error == EADDRNOTAVAIL) {
			client.counts->retried++;
			return 0;
		}
		client.counts->failed[error]++;
		started++;
		return 1;
	}
	client.free = connection->next_free;
	*connection = (struct connection){
		.fd = fd,
		.phase = CONNECTING,
		.rounds_left = client.options->rounds,
		.upload = client.options->upload + number * client.options->upload_step,
		.download = client.options->download + number * client.options->download_step,
		.started_us = client.options->cancel_us ? now_us() : 0,
	};
	started++;
	client.active++;
	client.busy++;
	if (epoll_ctl(events_fd, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
	return 1;
}

static int may_start(void)
{
	return !client.closing && client.free && (!client.options->count || started < client.options->count);
}

/* Starts what is due; returns the time of the next start in microseconds, 0 for none. */
static uint64_t start_due(uint64_t now)
{
	static uint64_t next_us;

	while (may_start() && next_us <= now) {
		if (!start_connection())
			return now + 1000;
		if (client.options->pace_us)
			next_us = (next_us ? next_us : now) + client.options->pace_us;
		if (next_us && next_us + 1000000 < now)
			next_us = now; /* we were held up for a second: do not make up for it in a burst */
	}
	return may_start() ? next_us : 0;
}

static void play_round_on_idle(uint64_t upload, uint64_t download)
{
	for (uint64_t i = 0; i < client.options->parallel; i++)
		if (client.connections[i].phase == IDLE) {
			client.busy++;
			begin_round(&client.connections[i], upload, download);
			advance(&client.connections[i], 0);
		}
}

static uint64_t play_due(uint64_t now)
{
	static uint64_t next_us;

	if (!client.options->every_us || client.closing)
		return 0;
	if (next_us <= now) {
		if (next_us)
			play_round_on_idle(client.options->upload, client.options->download);
		next_us = now + client.options->every_us;
	}
	return next_us;
}

static uint64_t cancel_due(uint64_t now)
{
	if (!client.options->cancel_us || !client.active)
		return 0;
	for (uint64_t i = 0; i < client.options->parallel; i++) {
		struct connection *connection = &client.connections[i];

		if (connection->phase == CONNECTING && connection->started_us + client.options->cancel_us <= now)
			cancel(connection);
	}
	return client.active ? now + 5000 : 0;
}

static uint64_t close_all(void)
{
	client.closing = 1;
	for (uint64_t i = 0; i < client.options->parallel; i++) {
		if (client.connections[i].phase == CONNECTING)
			cancel(&client.connections[i]);
		if (client.connections[i].phase != IDLE)
			continue;
		client.busy++;
		if (end_rounds(&client.connections[i]))
			advance(&client.connections[i], 0);
	}
	return now_us() + CLOSE_GRACE_US;
}

static void obey(uint64_t *deadline)
{
	unsigned long upload = 0, download = 0;
	char line[128];
	int got;

	while ((got = read_command(worker->commands, line, sizeof(line))) == 1) {
		if (sscanf(line, "send %lu %lu", &upload, &download) >= 1) {
			round_asked++;
			play_round_on_idle(upload, download);
		} else if (!strcmp(line, "close")) {
			*deadline = close_all();
		}
	}
	if (got < 0 && !client.closing)
		*deadline = close_all();
}

static void tell_news(void)
{
	int all_started = client.options->count && started == client.options->count;

	if (!ready_told && (!client.options->hold || (all_started && !client.busy))) {
		tell(worker, NEWS_READY);
		ready_told = 1;
	}
	for (; round_asked && !client.busy; round_asked--)
		tell(worker, NEWS_ROUND_DONE);
}

static int wait_ms(uint64_t now, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t due[4] = { a, b, c, d }, first = UINT64_MAX;

	for (int i = 0; i < 4; i++)
		if (due[i] && due[i] < first)
			first = due[i];
	if (first == UINT64_MAX)
		return -1;
	return first <= now ? 0 : (first - now + 999) / 1000;
}

void run_client(const struct client_options *given, const struct worker *self)
{
	struct epoll_event ready[256], command = { .events = EPOLLIN };
	uint64_t deadline = 0;

	client.options = given;
	worker = self;
	client.counts = self->counts;
	client.connections = calloc(client.options->parallel, sizeof(*client.connections));
	events_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!client.connections || events_fd < 0 || epoll_ctl(events_fd, EPOLL_CTL_ADD, worker->commands, &command))
		die("cannot start a client");
	for (uint64_t i = client.options->parallel; i-- > 0;) {
		client.connections[i].next_free = client.free;
		client.free = &client.connections[i];
	}
	for (;;) {
		uint64_t now = now_us();
		uint64_t start_us = start_due(now), play_us = play_due(now), cancel_us = cancel_due(now);
		int count;

		tell_news();
		if (!client.active && (client.closing || (client.options->count && started == client.options->count &&
							  !client.options->hold)))
			return;
		if (deadline && now >= deadline)
			return;
		count = epoll_wait(events_fd, ready, 256, wait_ms(now, start_us, play_us, cancel_us, deadline));
		for (int i = 0; i < count; i++) {
			if (ready[i].data.ptr)
				advance(ready[i].data.ptr, ready[i].events);
			else
				obey(&deadline);
		}
	}
}
