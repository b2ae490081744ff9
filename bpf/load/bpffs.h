/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A place for pins: the file system that keeps BPF objects alive. */
#ifndef LOAD_BPFFS_H
#define LOAD_BPFFS_H

#include <stdbool.h>

#define BPFFS_USUAL "/sys/fs/bpf"
#define BPFFS_OWN "/run/flowspan/bpf"
/* Without a mode, a bpffs is one to which everybody may write. */
#define BPFFS_MOUNT_COMMAND "mount -t bpf -o nosuid,nodev,noexec,mode=0700 bpf " BPFFS_USUAL

bool bpffs__is(const char *path);

/* A mounted bpffs; NULL if there is none. */
const char *bpffs__mounted(void);

/* Whether `path` is on a bpffs, or would be once it is made. */
bool bpffs__holds(const char *path);

/* A mounted bpffs, mounted now where there was none; NULL after saying why. */
const char *bpffs__find(void);

/* Makes the directory `path` on a bpffs, mounting one if it has to; nobody else may write to it. 0, or -1 after saying why. */
int bpffs__make(const char *path);

#endif
