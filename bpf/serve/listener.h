/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The Unix socket that the agent finds us at. */
#ifndef SERVE_LISTENER_H
#define SERVE_LISTENER_H

#include <sys/types.h>

#include "shared/options.h"

struct listener {
	int fd;
	int directory; /* that holds the socket (O_PATH) */
	dev_t device;  /* of the socket's file, with `inode`: it is the one that we bound */
	ino_t inode;
};

/* Listens beside the final path, so that an older probe keeps its socket for now. 0, or -1 after saying why it cannot. */
int listener__open(struct listener *listener, const struct options *options);

/* Puts the socket in its final place; agents that connect from now on reach this probe. 0, or -1 after saying why. */
int listener__publish(struct listener *listener, const struct options *options);

/*
 * --is-listening: prints {"listening": true} where a process listens on the socket, and disturbs neither it nor its agent.
 * 0, or -1 after saying what is wrong with the path.
 */
int listener__ask(const struct options *options);

#endif
