/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* --check: what this machine allows, as JSON. */
#ifndef PROBE_CHECK_H
#define PROBE_CHECK_H

/* Prints one JSON object to stdout. True where the probe can run. */
int check__print(void);

#endif
