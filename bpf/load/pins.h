/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The directory in bpffs that keeps maps and links while no probe runs. */
#ifndef LOAD_PINS_H
#define LOAD_PINS_H

#include <bpf/libbpf.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 *   <pins>/v2/connections, edges, …            maps, kept from probe to probe
 *   <pins>/v2/links-<generation>/<program>     the attached hooks of one probe; the next one removes them
 */
struct pins {
	char base[PATH_MAX];     /* <pins> */
	char path[PATH_MAX + 8]; /* <pins>/v<FLOWSPAN_PROTOCOL> */
	int lock;                /* the directory, locked against another probe that starts */
};

/*
 * Fills in the paths, and touches nothing. 0, or -1 after saying why.
 * @param wanted as --pins has it; NULL: `flowspan` in the bpffs that is mounted at `bpffs`
 */
int pins__place(struct pins *pins, const char *wanted, const char *bpffs);

/* Mounts bpffs where it is missing, makes the directory and takes its lock. 0, or -1 after saying why. */
int pins__open(struct pins *pins, const char *wanted);

/* Lets another probe start. */
void pins__unlock(struct pins *pins);

/* Makes loading `object` reuse the pinned maps and pin the others. 0, or -1 after saying why. */
int pins__pin_maps(const struct pins *pins, struct bpf_object *object);

int pins__pin_link(const struct pins *pins, uint64_t generation, const char *name, struct bpf_link *link);

/* Ends and removes what probes of other protocols have left, before an upgrade or a downgrade: nobody will export it. */
void pins__remove_others(const struct pins *pins);

/* Detaches the hooks of every other generation. */
void pins__remove_links_except(const struct pins *pins, uint64_t generation);

/* --unpin: removes all pins under `wanted`, of every version. 0 also where there are none. */
int pins__remove(const char *wanted);
/* --is-unpinned: whether anything is where pins would be. True, and said why, where that cannot be seen. */
bool pins__are_there(const char *wanted);

#endif
