/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* How a probe ends; --help lists them for users. */
#ifndef SHARED_EXIT_CODE_H
#define SHARED_EXIT_CODE_H

enum exit_code {
	EXIT_ENDED = 0,        /* as asked; a supervisor ends too */
	EXIT_CANNOT_START = 1, /* starting again would not help; a supervisor ends too */
	EXIT_USAGE = 2,
	EXIT_FAILED = 3, /* while running; a supervisor starts it again */
};

#endif
