/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Whether the pins of a running probe are still those that it made. */
#ifndef LOAD_KEPT_PINS_H
#define LOAD_KEPT_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "load/features.h"
#include "load/pins.h"
#include "load/programs.h"

#define KEPT_PINS_MAX 64

struct kept_pin {
	char name[128]; /* below the directory of this protocol: "edges", "links-3/walk" */
	ino_t inode;
};

struct kept_pins {
	int directory; /* of this protocol; O_PATH, so that it can be looked into without a right to the way there */
	char place[PATH_MAX]; /* where the kernel says that it is: changes when it is removed or its bpffs unmounted */
	int count;
	struct kept_pin pin[KEPT_PINS_MAX];
};

/* Notes what `programs` has pinned. 0, or -1 after saying why. */
int kept_pins__note(struct kept_pins *kept, const struct pins *pins, const struct programs *programs);

/* Whether each is still there. */
bool kept_pins__are_there(const struct kept_pins *kept);

/* Whether somebody has attached programs of that generation and pinned their links, as a probe that takes over does. */
bool kept_pins__has_links(const struct kept_pins *kept, uint64_t generation);

#endif
