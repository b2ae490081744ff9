/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What a running probe stands on, looked at once a second: a probe that is blind must say so. */
#ifndef LOAD_UPKEEP_H
#define LOAD_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "load/own_pins.h"
#include "load/programs.h"
#include "shared/pinned_maps.h"

struct upkeep {
	struct programs *programs;
	struct pinned_maps *maps;
	const char *cgroup; /* --cgroup; NULL: none */
	struct own_pins pins;
	const char *path;  /* of the pins, for the log */
	uint64_t troubles; /* enum probe_trouble, a bit each: what is wrong now */
	bool starts_anew;  /* a start mends it, and takes over all that was counted: this probe is to end */
};

/* Notes how things are at the start. 0, or -1 after saying why. */
int upkeep__open(struct upkeep *upkeep, struct programs *programs, struct pinned_maps *maps, const struct pins *pins,
		 const char *cgroup);

/*
 * Looks at pins, links and the filter's cgroup. Says once what is wrong, and counts what it costs.
 * @return whether `troubles` has changed
 */
bool upkeep__check(struct upkeep *upkeep);

/*
 * Whether a newer probe counts on these maps, or they were retired by --unpin. A generation that nobody has programs of was
 * written by hand: then ours is put back.
 */
bool upkeep__is_replaced(struct upkeep *upkeep);

#endif
