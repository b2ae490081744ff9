/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client worker: opens connections, plays their rounds (send an upload, read the answer) and ends them
 * the way it was told to.
 *
 *   CONNECTING -> SENDING -> RECEIVING -> (next round | IDLE | ENDING -> closed)
 *
 * Commands: `send UPLOAD DOWNLOAD` plays one round on every idle connection, `close` ends them all.
 * Sockets are registered once, edge-triggered, and every phase goes on until the kernel says EAGAIN.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum phase { FREE, CONNECTING, SENDING, RECEIVING, IDLE, ENDING };

struct connection {
	int fd;
	enum phase phase;
	uint64_t rounds_left, upload, download, moved;
	uint64_t round_upload, round_download; /* of the round that is played now */
	uint64_t started_us;
	struct connection *next_free;
};

static const struct client_options *options;
static const struct worker *worker;
static struct counts *counts;
static struct connection *connections, *free_connections;
static char buffer[BUFFER_BYTES];
static int events_fd, closing, ready_told, round_asked;
static uint64_t started, active, busy; /* busy: not idle, not free */

static void release(struct connection *connection)
{
	connection->phase = FREE;
	connection->next_free = free_connections;
	free_connections = connection;
	active--;
}

static void end_closed(struct connection *connection)
{
	busy -= connection->phase != IDLE;
	close(connection->fd);
	counts->closed++;
	release(connection);
}

static void end_broken(struct connection *connection, int error)
{
	busy -= connection->phase != IDLE;
	close(connection->fd);
	if (connection->phase == CONNECTING)
		counts->failed[error]++;
	else
		counts->broken[error]++;
	release(connection);
}

/* The functions below return 1 when the connection is in a new phase that may go on at once. */

/* All rounds are played: end the connection as told. */
static int end_rounds(struct connection *connection)
{
	if (options->hold && !closing) {
		connection->phase = IDLE;
		busy--;
		return 0;
	}
	if (options->closer == CLOSER_RESET) {
		close_with_reset(connection->fd);
		counts->broken[0]++;
		busy--;
		release(connection);
		return 0;
	}
	if (options->closer == CLOSER_CLIENT_FAST) {
		end_closed(connection);
		return 0;
	}
	/* With closer `server` a round was played with close_after, and its FIN is on its way. */
	if (options->closer == CLOSER_CLIENT || options->hold || !options->rounds)
		shutdown(connection->fd, SHUT_WR);
	connection->phase = ENDING;
	return 1;
}

static int await_end(struct connection *connection)
{
	ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);

	if (got > 0) {
		counts->bytes_received += got;
		return 1;
	}
	if (got == 0)
		end_closed(connection);
	else if (errno != EAGAIN)
		end_broken(connection, errno);
	return 0;
}

static int send_upload(struct connection *connection)
{
	struct request request = {
		.magic = REQUEST_MAGIC,
		.close_after = options->closer == CLOSER_SERVER && !options->hold && connection->rounds_left == 1,
		.upload = connection->round_upload,
		.download = connection->round_download,
	};

	while (connection->moved < connection->round_upload) {
		uint64_t moved = connection->moved, left = connection->round_upload - moved;
		size_t head = moved < sizeof(request) ? sizeof(request) - moved : 0;
		struct iovec parts[2] = {
			{ (char *)&request + sizeof(request) - head, head },
			{ buffer, left - head < BUFFER_BYTES ? left - head : BUFFER_BYTES },
		};
		struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
		ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno != EAGAIN)
				end_broken(connection, errno);
			return 0;
		}
		counts->bytes_sent += sent;
		connection->moved += sent;
	}
	connection->phase = RECEIVING;
	connection->moved = 0;
	return 1;
}

static void begin_round(struct connection *connection, uint64_t upload, uint64_t download)
{
	connection->phase = SENDING;
	connection->moved = 0;
	connection->round_upload = upload < sizeof(struct request) ? sizeof(struct request) : upload;
	connection->round_download = download;
}

static int receive(struct connection *connection)
{
	while (connection->moved < connection->round_download) {
		uint64_t left = connection->round_download - connection->moved;
		ssize_t got = recv(connection->fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer), 0);

		if (got < 0 && errno == EAGAIN)
			return 0;
		if (got == 0)
			end_closed(connection);
		else if (got < 0)
			end_broken(connection, errno);
		if (got <= 0)
			return 0;
		counts->bytes_received += got;
		connection->moved += got;
	}
	if (connection->rounds_left && --connection->rounds_left) {
		begin_round(connection, connection->upload, connection->download);
		return 1;
	}
	return end_rounds(connection);
}

static int take_connect_result(struct connection *connection)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length))
		die("SO_ERROR");
	if (error) {
		end_broken(connection, error);
		return 0;
	}
	counts->opened++;
	if (!connection->rounds_left)
		return end_rounds(connection);
	begin_round(connection, connection->upload, connection->download);
	return 1;
}

static void advance(struct connection *connection, uint32_t events)
{
	int go_on = 1;

	if (connection->phase == CONNECTING && !(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	while (go_on) {
		switch (connection->phase) {
		case CONNECTING:
			go_on = take_connect_result(connection);
			break;
		case SENDING:
			go_on = send_upload(connection);
			break;
		case RECEIVING:
			go_on = receive(connection);
			break;
		case IDLE:
		case ENDING:
			go_on = await_end(connection);
			break;
		case FREE:
			return;
		}
	}
}

static int open_socket(const struct endpoint *to, uint64_t number)
{
	int family = to->address.ss_family, on = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, options->protocol);

	if (fd < 0)
		die("socket");
	if (options->syn_retries &&
	    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &options->syn_retries, sizeof(options->syn_retries)))
		die("TCP_SYNCNT");
	if (options->user_timeout_ms &&
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &options->user_timeout_ms, sizeof(options->user_timeout_ms)))
		die("TCP_USER_TIMEOUT");
	if (options->from_count) {
		const struct endpoint *from = &options->from[number % options->from_count];

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
	const struct endpoint *to = &options->to[number % options->to_count];
	struct connection *connection = free_connections;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
	int fd = open_socket(to, number / options->to_count);

	if (connect(fd, (const struct sockaddr *)&to->address, to->length) && errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		if (error == EADDRNOTAVAIL) {
			counts->retried++;
			return 0;
		}
		counts->failed[error]++;
		started++;
		return 1;
	}
	free_connections = connection->next_free;
	*connection = (struct connection){
		.fd = fd,
		.phase = CONNECTING,
		.rounds_left = options->rounds,
		.upload = options->upload + number * options->upload_step,
		.download = options->download + number * options->download_step,
		.started_us = options->cancel_us ? now_us() : 0,
	};
	started++;
	active++;
	busy++;
	if (epoll_ctl(events_fd, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
	return 1;
}

static int may_start(void)
{
	return !closing && free_connections && (!options->count || started < options->count);
}

/* Starts what is due; returns the time of the next start in microseconds, 0 for none. */
static uint64_t start_due(uint64_t now)
{
	static uint64_t next_us;

	while (may_start() && next_us <= now) {
		if (!start_connection())
			return now + 1000;
		if (options->pace_us)
			next_us = (next_us ? next_us : now) + options->pace_us;
		if (next_us && next_us + 1000000 < now)
			next_us = now; /* we were held up for a second: do not make up for it in a burst */
	}
	return may_start() ? next_us : 0;
}

static void play_round_on_idle(uint64_t upload, uint64_t download)
{
	for (uint64_t i = 0; i < options->parallel; i++)
		if (connections[i].phase == IDLE) {
			busy++;
			begin_round(&connections[i], upload, download);
			advance(&connections[i], 0);
		}
}

static uint64_t play_due(uint64_t now)
{
	static uint64_t next_us;

	if (!options->every_us || closing)
		return 0;
	if (next_us <= now) {
		if (next_us)
			play_round_on_idle(options->upload, options->download);
		next_us = now + options->every_us;
	}
	return next_us;
}

static void cancel(struct connection *connection)
{
	close(connection->fd);
	counts->cancelled++;
	busy--;
	release(connection);
}

static uint64_t cancel_due(uint64_t now)
{
	if (!options->cancel_us || !active)
		return 0;
	for (uint64_t i = 0; i < options->parallel; i++) {
		struct connection *connection = &connections[i];

		if (connection->phase == CONNECTING && connection->started_us + options->cancel_us <= now)
			cancel(connection);
	}
	return active ? now + 5000 : 0;
}

static uint64_t close_all(void)
{
	closing = 1;
	for (uint64_t i = 0; i < options->parallel; i++) {
		if (connections[i].phase == CONNECTING)
			cancel(&connections[i]);
		if (connections[i].phase != IDLE)
			continue;
		busy++;
		if (end_rounds(&connections[i]))
			advance(&connections[i], 0);
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
	if (got < 0 && !closing)
		*deadline = close_all();
}

static void tell_news(void)
{
	int all_started = options->count && started == options->count;

	if (!ready_told && (!options->hold || (all_started && !busy))) {
		tell(worker, NEWS_READY);
		ready_told = 1;
	}
	for (; round_asked && !busy; round_asked--)
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

	options = given;
	worker = self;
	counts = self->counts;
	connections = calloc(options->parallel, sizeof(*connections));
	events_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!connections || events_fd < 0 || epoll_ctl(events_fd, EPOLL_CTL_ADD, worker->commands, &command))
		die("cannot start a client");
	for (uint64_t i = options->parallel; i-- > 0;) {
		connections[i].next_free = free_connections;
		free_connections = &connections[i];
	}
	for (;;) {
		uint64_t now = now_us();
		uint64_t start_us = start_due(now), play_us = play_due(now), cancel_us = cancel_due(now);
		int count;

		tell_news();
		if (!active && (closing || (options->count && started == options->count && !options->hold)))
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
