/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What our own work costs and loses. */
#ifndef EXCHANGE_STATUS_H
#define EXCHANGE_STATUS_H

#include "exchange/own_memory.h"
#include "shared/pinned_maps.h"
#include "wire/output.h"
#include "load/programs.h"

/* Sends FRAME_STATUS; the numbers that only the caller knows are arguments. */
void status__send(const struct pinned_maps *maps, const struct own_memory *memory, struct output *output, __u64 edges,
		  __u64 cgroups, __u64 records);

/* Sends a FRAME_PROGRAM for each loaded program. */
void programs__report(const struct programs *programs, struct output *output);

#endif
