/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A parent that keeps the probe running. */
#ifndef PROBE_SUPERVISE_H
#define PROBE_SUPERVISE_H

/*
 * Forks. Returns in the child only, once for each probe started: the file descriptor that hangs up when
 * the supervisor is gone. The parent stays inside and exits the process when it is done.
 */
int supervise__run(void);

#endif
