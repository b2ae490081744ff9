/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server worker: accepts on the shared listeners and serves each connection in its listener's mode.
 *
 *   request  reads rounds (a header says how much comes and how much to answer)
 *   sink     reads to the end        echo   sends back what comes
 *   reset    reads N bytes, then RST stuck  never accepts: the accept queue fills
 *
 * On `close` the queued connections are accepted, the listeners closed, and what is open is ended with a FIN
 * once its round is over, so that both ends' counts stay exact.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct connection {
	int fd;
	int sending; /* the answer of a round, or the echo of what came */
	const struct listener *listener;
	struct connection *next, *previous;
	struct request request;
	uint64_t moved; /* bytes of this round received; then bytes of its answer sent */
	uint64_t to_send;
	int ended; /* we have sent our FIN */
};

static const struct worker *worker;
static struct server_options *options;
static struct counts *counts;
static struct connection open_connections = { .next = &open_connections, .previous = &open_connections };
static char buffer[BUFFER_BYTES];
static int events_fd, closing, listening, has_room;

static void forget(struct connection *connection)
{
	connection->next->previous = connection->previous;
	connection->previous->next = connection->next;
	free(connection);
	has_room = 1;
}

static void end_closed(struct connection *connection)
{
	close(connection->fd);
	counts->closed++;
	forget(connection);
}

static void end_broken(struct connection *connection, int error)
{
	if (error)
		close(connection->fd);
	else
		close_with_reset(connection->fd);
	counts->broken[error]++;
	forget(connection);
}

static int at_round_start(const struct connection *connection)
{
	return !connection->sending && !connection->moved;
}

/* The round's answer is out. Returns 0 when the connection is gone. */
static int end_round(struct connection *connection)
{
	connection->sending = 0;
	connection->moved = 0;
	if (connection->request.close_after) {
		end_closed(connection);
		return 0;
	}
	if (closing && !connection->ended) {
		connection->ended = 1;
		shutdown(connection->fd, SHUT_WR);
	}
	return 1;
}

/* Takes `length` bytes of a round. Never more than the round has left: see wanted(). */
static int take_request(struct connection *connection, size_t length)
{
	size_t head = sizeof(connection->request);

	if (connection->moved < head) {
		size_t missing = head - connection->moved;

		memcpy((char *)&connection->request + connection->moved, buffer, missing < length ? missing : length);
	}
	connection->moved += length;
	if (connection->moved < head)
		return 1;
	if (connection->request.magic != REQUEST_MAGIC) {
		end_broken(connection, EPROTO);
		return 0;
	}
	if (connection->moved < connection->request.upload)
		return 1;
	connection->moved = 0;
	connection->to_send = connection->request.download;
	connection->sending = 1;
	return 1;
}

static int take_bytes(struct connection *connection, size_t length)
{
	switch (connection->listener->mode) {
	case MODE_REQUEST:
		return take_request(connection, length);
	case MODE_ECHO:
		connection->moved = 0;
		connection->to_send = length;
		connection->sending = 1;
		return 1;
	case MODE_RESET:
		connection->moved += length;
		if (connection->moved < connection->listener->reset_after)
			return 1;
		end_broken(connection, 0);
		return 0;
	case MODE_SINK:
	case MODE_STUCK:
		break;
	}
	return 1;
}

/* How much to read at most: a request's bytes must not mix with the next one's. */
static size_t wanted(const struct connection *connection)
{
	uint64_t end = sizeof(connection->request), left;

	if (connection->listener->mode != MODE_REQUEST)
		return BUFFER_BYTES;
	if (connection->moved >= end)
		end = connection->request.upload;
	left = end - connection->moved;
	return left < BUFFER_BYTES ? left : BUFFER_BYTES;
}

/* Returns 0 when there is nothing to do before the next event, or the connection is gone. */
static int send_some(struct connection *connection)
{
	uint64_t left = connection->to_send - connection->moved;
	ssize_t sent;

	if (!left)
		return end_round(connection);
	sent = send(connection->fd, buffer, left < BUFFER_BYTES ? left : BUFFER_BYTES, MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN)
			end_broken(connection, errno);
		return 0;
	}
	counts->bytes_sent += sent;
	connection->moved += sent;
	return 1;
}

static int receive_some(struct connection *connection)
{
	ssize_t got = recv(connection->fd, buffer, wanted(connection), 0);

	if (got > 0) {
		counts->bytes_received += got;
		return take_bytes(connection, got);
	}
	if (got == 0)
		end_closed(connection);
	else if (errno != EAGAIN)
		end_broken(connection, errno);
	return 0;
}

static void serve(struct connection *connection)
{
	while (connection->sending ? send_some(connection) : receive_some(connection))
		;
}

static void watch_listeners(int operation)
{
	for (int i = 0; i < options->listener_count; i++) {
		struct listener *listener = &options->listeners[i];
		struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = listener };

		if (listener->mode != MODE_STUCK && epoll_ctl(events_fd, operation, listener->fd, &event))
			die("epoll_ctl on a listener");
	}
	listening = operation == EPOLL_CTL_ADD;
}

/* Returns 0 when the queue is empty, or this process has no descriptor left. */
static int accept_one(struct listener *listener)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct connection *connection;
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE && listening) {
			watch_listeners(EPOLL_CTL_DEL); /* the other workers take them */
			has_room = 0;
		} else if (errno != EAGAIN && errno != EMFILE && errno != ECONNABORTED) {
			die("accept");
		}
		return 0;
	}
	connection = calloc(1, sizeof(*connection));
	event.data.ptr = connection;
	if (!connection || epoll_ctl(events_fd, EPOLL_CTL_ADD, fd, &event))
		die("cannot keep a connection");
	*connection = (struct connection){ .fd = fd, .listener = listener, .next = &open_connections };
	connection->previous = open_connections.previous;
	connection->previous->next = connection;
	open_connections.previous = connection;
	counts->opened++;
	serve(connection);
	return 1;
}

static void accept_some(struct listener *listener)
{
	for (int i = 0; i < 64 && accept_one(listener); i++)
		;
}

static uint64_t close_all(void)
{
	struct connection *connection, *next;

	closing = 1;
	for (int i = 0; i < options->listener_count; i++) {
		while (options->listeners[i].mode != MODE_STUCK && accept_one(&options->listeners[i]))
			;
		close(options->listeners[i].fd);
	}
	listening = 0;
	for (connection = open_connections.next; connection != &open_connections; connection = next) {
		next = connection->next;
		if (!connection->ended && (at_round_start(connection) || connection->listener->mode != MODE_REQUEST)) {
			connection->ended = 1;
			shutdown(connection->fd, SHUT_WR);
		}
	}
	return now_us() + CLOSE_GRACE_US;
}

static uint64_t obey(void)
{
	char line[128];
	int got;

	while ((got = read_command(worker->commands, line, sizeof(line))) == 1)
		if (!strcmp(line, "close"))
			return close_all();
	return got < 0 ? close_all() : 0;
}

static int is_listener(const void *ready)
{
	return ready >= (void *)options->listeners && ready < (void *)(options->listeners + ENDPOINTS_MAX);
}

void run_server(struct server_options *given, const struct worker *self)
{
	struct epoll_event ready[256], command = { .events = EPOLLIN };
	uint64_t deadline = 0;

	options = given;
	worker = self;
	counts = self->counts;
	events_fd = epoll_create1(EPOLL_CLOEXEC);
	if (events_fd < 0 || epoll_ctl(events_fd, EPOLL_CTL_ADD, worker->commands, &command))
		die("cannot start a server");
	watch_listeners(EPOLL_CTL_ADD);
	tell(worker, NEWS_READY);
	while (!closing || (open_connections.next != &open_connections && now_us() < deadline)) {
		int count = epoll_wait(events_fd, ready, 256, closing ? 50 : -1);

		for (int i = 0; i < count; i++) {
			if (!ready[i].data.ptr) {
				/* Not while events of connections that it may end are still to be read. */
				continue;
			}
			if (is_listener(ready[i].data.ptr))
				accept_some(ready[i].data.ptr);
			else
				serve(ready[i].data.ptr);
		}
		for (int i = 0; i < count && !closing; i++)
			if (!ready[i].data.ptr)
				deadline = obey();
		if (!listening && !closing && has_room)
			watch_listeners(EPOLL_CTL_ADD);
	}
}
