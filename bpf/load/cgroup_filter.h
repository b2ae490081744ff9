/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A cgroup directory as the kernel programs know it. */
#ifndef LOAD_CGROUP_FILTER_H
#define LOAD_CGROUP_FILTER_H

#include "load/programs.h"

/* Fills `filter` for the directory `path`, or for the whole machine when it is NULL. 0, or -1 after saying why. */
int cgroup_filter__find(struct cgroup_filter *filter, const char *path);

#endif
