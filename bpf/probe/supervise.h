/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A parent that keeps the probe running. */
#ifndef PROBE_SUPERVISE_H
#define PROBE_SUPERVISE_H

/* How a probe ends; --help lists them for users. */
enum exit_code {
	EXIT_ENDED = 0,        /* as asked; a supervisor ends too */
	EXIT_CANNOT_START = 1, /* starting again would not help; a supervisor ends too */
	EXIT_USAGE = 2,
	EXIT_FAILED = 3, /* while running; a supervisor starts it again */
};

/*
 * Forks. Returns in the child only, once for each probe started: the file descriptor that hangs up when
 * the supervisor is gone. The parent stays inside and exits the process when it is done.
 */
int supervise__run(void);

#endif
