/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the process may do: all it was given while it attaches, CAP_BPF afterwards. */
#ifndef PROBE_PRIVILEGES_H
#define PROBE_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#define PRIVILEGES_REMEDY "add SETUID and SETGID to the container's capabilities, or --stay-root to the arguments"

/* Which capabilities root lacks to become another user: asked before anything is loaded. NULL: none. */
const char *privileges__missing(bool stay);

/*
 * Gives up everything that a running probe does not need: becomes `user` (unless `stay` or not root),
 * keeps CAP_BPF alone, empties the bounding, inheritable and ambient sets, forbids new privileges.
 * Returns 0, or -1 after it has said what failed: the caller must not go on.
 */
int privileges__drop(uid_t user, bool stay);

#endif
