/* SPDX-License-Identifier: Apache-2.0 */
/* A client worker's connections: workload-client.c opens them, workload-connection.c plays and ends them. */
#ifndef WORKLOAD_CONNECTION_H
#define WORKLOAD_CONNECTION_H

#include "workload.h"

/*
 *   CONNECTING -> SENDING -> RECEIVING -> (next round | IDLE | ENDING -> closed)
 *
 * Every phase goes on until the kernel says EAGAIN.
 */
enum phase { FREE, CONNECTING, SENDING, RECEIVING, IDLE, ENDING };

struct connection {
	int fd;
	enum phase phase;
	uint64_t rounds_left, upload, download, moved;
	uint64_t round_upload, round_download; /* of the round that is played now */
	uint64_t started_us;
	struct connection *next_free;
};

/* This worker. */
extern struct client {
	const struct client_options *options;
	struct counts *counts;
	struct connection *connections, *free;
	uint64_t active, busy; /* busy: not idle, not free */
	int closing;
} client;

/* Goes on with a connection, with what epoll told of it. */
void advance(struct connection *connection, uint32_t events);
void begin_round(struct connection *connection, uint64_t upload, uint64_t download);
/* All rounds are played: ends the connection as told. Returns 1 when it is in a new phase that may go on at once. */
int end_rounds(struct connection *connection);
/* Closes it before an answer came. */
void cancel(struct connection *connection);

#endif
