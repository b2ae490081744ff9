/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The files of /proc/PID/net/stat: a line of names, then a line of hexadecimal numbers for each CPU. */
#ifndef EXCHANGE_PROC_STAT_H
#define EXCHANGE_PROC_STAT_H

#include "contract/types.h"

typedef void (*take_column)(void *context, const char *name, __u64 number);

/* Passes on each number of each CPU with its column's name. `text` is taken apart. Pure. */
void proc_stat__parse(char *text, take_column take, void *context);

#endif
