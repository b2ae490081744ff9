/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The event loop: one agent, its commands, and the connection records. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "load/features.h"
#include "load/upkeep.h"
#include "shared/pinned_maps.h"
#include "shared/options.h"
#include "load/programs.h"

struct server;

/*
 * Makes the event loop ready for the programs and maps that `upkeep` looks after. `listener` is a listening socket, or -1 to serve stdin and stdout;
 * `lifeline` hangs up when our supervisor is gone, -1 without one; `signals` is a signalfd.
 * NULL after saying why.
 */
struct server *server__open(struct upkeep *upkeep, const struct features *features, int listener, int lifeline,
			    int signals);

/* Serves until it is told to end or a newer probe took over. Returns the process's exit code. */
int server__run(struct server *server);

#endif
