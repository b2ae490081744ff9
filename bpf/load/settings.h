/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Settings and state, before the programs of a new generation act. */
#ifndef LOAD_SETTINGS_H
#define LOAD_SETTINGS_H

#include "load/programs.h"
#include "shared/pinned_maps.h"

/* Fills everything in settings and state but the generation. */
void settings__prepare(struct pinned_maps *maps, const struct cgroup_filter *filter);

#endif
