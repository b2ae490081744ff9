/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A place for pins: the file system that keeps BPF objects alive. */
#ifndef LOAD_BPFFS_H
#define LOAD_BPFFS_H

#include <stdbool.h>
#include <sys/types.h>

#define BPFFS_USUAL "/sys/fs/bpf"
#define BPFFS_OWN "/run/flowspan/bpf"

bool bpffs__is(const char *path);

/* A mounted bpffs; NULL if there is none. */
const char *bpffs__mounted(void);

/* Whether `path` is on a bpffs, or would be once it is made. */
bool bpffs__holds(const char *path);

/* A mounted bpffs, mounted now where there was none; NULL after saying why. */
const char *bpffs__find(void);

/* Makes the directory `path` on a bpffs, mounting one if it has to. 0, or -1 after saying why. */
int bpffs__make(const char *path);

/* mkdir -p. 0, or -1 with errno. */
int directory__make(const char *path, mode_t mode);

#endif
