/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Our kernel programs: loaded, attached, and run by hand. */
#ifndef LOAD_PROGRAMS_H
#define LOAD_PROGRAMS_H

#include <bpf/libbpf.h>
#include <stdint.h>

#include "load/features.h"
#include "shared/pinned_maps.h"
#include "shared/options.h"
#include "load/pins.h"

struct programs {
	struct flowspan_bpf *skeleton;
	uint64_t generation;
	struct bpf_link *walk;             /* NULL: walk_by_address, which has none */
	struct bpf_link *namespaces;       /* NULL: no coverage */
	struct bpf_link *hooks[HOOKS_MAX]; /* as hooks[] has them; NULL: not attached */
};

/* The part of the machine that is counted; cgroup 0: all of it. */
struct cgroup_filter {
	uint64_t cgroup;
	uint32_t level;
};

/*
 * Loads the programs against the pinned maps, attaches them and makes them the active generation; then
 * removes the links of the one before and adopts the sockets that are older. Clears features that
 * turned out to be missing. 0, or -1 after saying why: then nothing has changed.
 */
int programs__start(struct programs *programs, struct pinned_maps *maps, struct features *features, struct pins *pins,
		    const struct options *options, const struct cgroup_filter *filter);

/* Loads and attaches once without pins, never active, and takes all back: `attached` says which hooks did. */
int programs__try(const struct features *features, bool attached[HOOKS_MAX], char *problem, size_t size);

/* Runs an iterator to its end. `take` gets what it writes, if anything. 0 or -errno. */
int iterator__run(const struct bpf_link *link, void (*take)(void *context, const void *bytes, size_t length),
		  void *context);

/* Runs the walk. 0 or -errno. */
int programs__walk(const struct programs *programs);

/* Runs the settle program on the first `count` settlements. 0 or -errno. */
int programs__settle(const struct programs *programs, uint64_t count);

#endif
