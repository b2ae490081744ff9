/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What this kernel and this machine offer, found out without changing anything. */
#ifndef LOAD_FEATURES_H
#define LOAD_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

/* One tracepoint that we hook. */
struct hook {
	const char *program; /* also the name of its link's pin */
	const char *tracepoint;
	bool required;
	int feature;      /* enum feature; -1: none says so */
	const char *cost; /* what is not known without it */
	int arguments;    /* that the tracepoint must have at least, as older kernels' may have fewer; 0: any */
};

#define HOOKS_MAX 32
extern const struct hook hooks[];
extern const int hook_count;

struct features {
	bool btf;
	bool hook[HOOKS_MAX]; /* the tracepoint exists */
	bool iter_sk_storage; /* the walk over all sockets' storages; without, they lie by address */
	bool read_only_cast;  /* storage by address works */
	bool iter_task;       /* adoption */
	bool cgroup_names;
	bool cgroup_v2;
	bool proc_snmp;
	bool drop_receiver;     /* kfree_skb says which socket was to receive the packet */
	unsigned pid_namespace; /* inode number of our pid namespace */
};

/*
 * Asks BTF, /proc and the mounts. Never fails: what cannot be found out is not there.
 *
 * @param sockets_by_address as if the kernel refused the walk over storages
 */
void features__detect(struct features *features, bool sockets_by_address);

/* The bits of enum feature. */
uint64_t features__bits(const struct features *features);

/* Path of the cgroup v2 mount in `path`; false when there is none. */
bool cgroup2__find(char *path, unsigned long size);

#endif
