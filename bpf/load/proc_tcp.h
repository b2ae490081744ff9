/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* /proc/PID/net/tcp and tcp6: all TCP sockets of a net namespace, whoever owns them. Pure. */
#ifndef LOAD_PROC_TCP_H
#define LOAD_PROC_TCP_H

#include <stdbool.h>

#include "contract/pinned.h"

/*
 * Reads one line into `place`, all but its net namespace. False for a line that is no socket that lasts: the heading,
 * handshakes, what waits in TIME_WAIT, and what is not TCP's.
 */
bool proc_tcp__parse(struct socket_place *place, const char *line);

#endif
