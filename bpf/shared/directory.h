/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Directories that a privileged process may use: nobody else can swap what stands behind their names. */
#ifndef SHARED_DIRECTORY_H
#define SHARED_DIRECTORY_H

#include <stdbool.h>
#include <sys/types.h>

enum directory_use {
	DIRECTORY_OWN,    /* only its owner may write to it */
	DIRECTORY_SHARED, /* others may write to it, such as other containers to a volume */
};

/* Root or the user of this process. */
bool owner__is_trusted(uid_t owner);

/*
 * Opens the absolute `path` name by name. Each directory on the way belongs to root or to this user, and nobody else can
 * rename what is in it. A link is followed only where root or this user owns it.
 * @param make mode of directories that are missing; 0: they are not made
 * @returns a descriptor (O_PATH), or -1 after saying what is wrong; with errno ENOENT, where `make` is 0, nothing is said
 */
int directory__open(const char *path, enum directory_use use, mode_t make);

/* As directory__open(), for the directory that holds `path`. */
int directory__open_parent(const char *path, enum directory_use use, mode_t make);

#endif
