/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The Unix socket that the agent finds us at. */
#ifndef SERVE_LISTENER_H
#define SERVE_LISTENER_H

#include "shared/options.h"

/* Listens beside the final path, so that an older probe keeps its socket for now. -1 after saying why it cannot. */
int listener__open(const struct options *options);

/* Puts the socket in its final place; agents that connect from now on reach this probe. 0, or -1 after saying why. */
int listener__publish(const struct options *options);

#endif
