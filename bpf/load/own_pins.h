/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Whether the pins of a running probe are still those that it made. */
#ifndef LOAD_OWN_PINS_H
#define LOAD_OWN_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "load/features.h"
#include "load/pins.h"
#include "load/programs.h"

#define OWN_PINS_MAX 64

struct own_pin {
	char name[128]; /* below the directory of this protocol: "edges", "links-3/walk" */
	ino_t inode;
};

struct own_pins {
	int directory; /* of this protocol; O_PATH, so that it can be looked into without a right to the way there */
	char place[PATH_MAX]; /* where the kernel says that it is: changes when it is removed or its bpffs unmounted */
	int count;
	struct own_pin pin[OWN_PINS_MAX];
};

/* Notes what `programs` has pinned. 0, or -1 after saying why. */
int own_pins__note(struct own_pins *own, const struct pins *pins, const struct programs *programs);

/* Whether each is still there. */
bool own_pins__are_there(const struct own_pins *own);

/* Whether somebody has attached programs of that generation and pinned their links, as a probe that takes over does. */
bool own_pins__has_links(const struct own_pins *own, uint64_t generation);

#endif
