/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A cgroup directory as the kernel programs know it. */
#ifndef LOAD_CGROUP_FILTER_H
#define LOAD_CGROUP_FILTER_H

#include "load/programs.h"

/* Fills `scope` for the directory `path`, or for the whole machine when it is NULL. 0, or -1 after saying why. */
int scope__find(struct scope *scope, const char *path);

#endif
