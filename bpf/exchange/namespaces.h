/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The kernel's own TCP counters, one set for each net namespace: what coverage is measured against. */
#ifndef EXCHANGE_NAMESPACES_H
#define EXCHANGE_NAMESPACES_H

#include "shared/pinned_maps.h"
#include "wire/output.h"
#include "load/programs.h"

/* Sends a FRAME_NAMESPACE for each counted namespace. What cannot be read is counted. */
void namespaces__send(const struct programs *programs, struct pinned_maps *maps, struct output *output);

#endif
