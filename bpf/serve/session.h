/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One agent that is served: its commands in, frames and connection records out. */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "exchange/exchange.h"
#include "exchange/settler.h"
#include "load/features.h"
#include "load/programs.h"
#include "records/record_reader.h"
#include "shared/pinned_maps.h"
#include "wire/input.h"
#include "wire/output.h"

/* Made once; serves one agent after the other. */
struct session {
	const struct programs *programs;
	struct pinned_maps *maps;
	uint64_t features; /* enum feature, a bit each */
	int in;            /* where commands come from, -1: nobody is connected */
	struct input input;
	struct record_reader records;
	struct output output;
	struct settler settler;
	struct exchange exchange;
	bool has_exchanged; /* with what the last read brought */
};

/* `listener_fd` becomes readable when another agent wants to connect; -1: none can. 0, or -1 after saying why. */
int session__make(struct session *session, const struct programs *programs, struct pinned_maps *maps,
		  const struct features *features, int listener_fd);

/* An agent is at the other end of `in` and `out`, which no longer block from here on. */
void session__open(struct session *session, int in, int out);

/* Puts FRAME_HELLO into the output. */
void session__send_hello(struct session *session);

/* Puts FRAME_TROUBLE into the output. @param troubles enum probe_trouble, a bit each */
void session__send_troubles(struct session *session, uint64_t troubles);

/*
 * Reads what has come and does what all whole commands in it ask for. False, after saying why, where the connection is to be
 * closed; also, in silence, when the agent is gone or a newer probe is the active one: then the maps are its.
 */
bool session__read(struct session *session);

/* Forgets the agent. The caller closes its file descriptors. */
void session__close(struct session *session);

#endif
