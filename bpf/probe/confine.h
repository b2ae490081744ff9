/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Which system calls a running probe may make: those that serving needs, and no others. */
#ifndef PROBE_CONFINE_H
#define PROBE_CONFINE_H

/*
 * From here on the kernel refuses every other call to this process and its children, for good. A refused call does not run:
 * its number is logged and the process ends with EXIT_FAILED. Takes new privileges forbidden before.
 * Returns 0, or -1 after it has said what failed.
 */
int confine(void);

#endif
