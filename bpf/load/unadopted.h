/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Sockets that are older than the probe and that adoption did not find: counted by name. */
#ifndef LOAD_UNADOPTED_H
#define LOAD_UNADOPTED_H

#include <stdbool.h>

#include "shared/pinned_maps.h"
#include "load/programs.h"

struct unadopted {
	int fd;           /* of the map `unfound` */
	bool is_filtered; /* the probe is limited to a cgroup: what shares its own namespace is mostly others' */
	__u32 own;        /* its namespace's inode number */
	struct namespace_seen *namespaces;
	size_t count;
};

/* Before adoption: notes all sockets of each counted net namespace. Adoption takes out what it finds. */
void unadopted__expect(struct unadopted *unadopted, const struct programs *programs);

/* After it: counts those that nobody took out and that are still there, and forgets them all. */
void unadopted__count(struct unadopted *unadopted, struct pinned_maps *maps);

#endif
