/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a client worker: its rounds (send an upload, read the answer), and its end. */
#define _GNU_SOURCE
#include "workload-connection.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

struct client client;

static char buffer[BUFFER_BYTES];

static void release(struct connection *connection)
{
	connection->phase = FREE;
	connection->next_free = client.free;
	client.free = connection;
	client.active--;
}

static void end_closed(struct connection *connection)
{
	client.busy -= connection->phase != IDLE;
	close(connection->fd);
	client.counts->closed++;
	release(connection);
}

static void end_broken(struct connection *connection, int error)
{
	client.busy -= connection->phase != IDLE;
	close(connection->fd);
	if (connection->phase == CONNECTING)
		client.counts->failed[error]++;
	else
		client.counts->broken[error]++;
	release(connection);
}

/* The functions below return 1 when the connection is in a new phase that may go on at once. */

/* All rounds are played: end the connection as told. */
int end_rounds(struct connection *connection)
{
	if (client.options->hold && !client.closing) {
		connection->phase = IDLE;
		client.busy--;
		return 0;
	}
	if (client.options->closer == CLOSER_RESET) {
		close_with_reset(connection->fd);
		client.counts->broken[0]++;
		client.busy--;
		release(connection);
		return 0;
	}
	if (client.options->closer == CLOSER_CLIENT_FAST) {
		end_closed(connection);
		return 0;
	}
	/* With closer `server` a round was played with close_after, and its FIN is on its way. */
	if (client.options->closer == CLOSER_CLIENT || client.options->hold || !client.options->rounds)
		shutdown(connection->fd, SHUT_WR);
	connection->phase = ENDING;
	return 1;
}

static int await_end(struct connection *connection)
{
	ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);

	if (got > 0) {
		client.counts->bytes_received += got;
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
		.close_after = client.options->closer == CLOSER_SERVER && !client.options->hold &&
			       connection->rounds_left == 1,
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
		client.counts->bytes_sent += sent;
		connection->moved += sent;
	}
	connection->phase = RECEIVING;
	connection->moved = 0;
	return 1;
}

void begin_round(struct connection *connection, uint64_t upload, uint64_t download)
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
		client.counts->bytes_received += got;
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
	client.counts->opened++;
	if (!connection->rounds_left)
		return end_rounds(connection);
	begin_round(connection, connection->upload, connection->download);
	return 1;
}

void advance(struct connection *connection, uint32_t events)
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

void cancel(struct connection *connection)
{
	close(connection->fd);
	client.counts->cancelled++;
	client.busy--;
	release(connection);
}
