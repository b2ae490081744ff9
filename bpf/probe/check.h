/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* --check: what this machine allows, as JSON. */
#ifndef PROBE_CHECK_H
#define PROBE_CHECK_H

#include "shared/options.h"

/* Prints one JSON object to stdout. 0 where a probe with these options can run, else 1. */
int check__print(const struct options *options);

#endif
