/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Named prefixes of remote addresses, as the agent sets them. */
#ifndef SERVE_PREFIX_RULES_H
#define SERVE_PREFIX_RULES_H

#include <stdbool.h>

#include "shared/pinned_maps.h"

/* Handles one COMMAND_PREFIX_RULE payload, which command__parse has checked. False after saying why it could not. */
bool prefix_rules__set(struct pinned_maps *maps, const void *payload);

#endif
