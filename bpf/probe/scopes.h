/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Named prefixes of remote addresses, as the agent sets them. */
#ifndef PROBE_SCOPES_H
#define PROBE_SCOPES_H

#include <stdbool.h>

#include "kept_maps.h"

/* Obeys one COMMAND_SCOPE payload, which command__parse has checked. False after saying why it could not. */
bool scopes__set(struct kept *kept, const void *payload);

#endif
