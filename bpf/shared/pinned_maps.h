/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The pinned maps, opened. */
#ifndef SHARED_PINNED_MAPS_H
#define SHARED_PINNED_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/losses.h"
#include "contract/pinned.h"
#include "contract/types.h"

struct bpf_object;

struct pinned_maps {
	struct settings *settings; /* shared with the kernel; the four below likewise */
	struct state *state;
	struct settlement *settlements; /* SETTLEMENTS_MAX of them */
	struct tenant *tenants;         /* TENANTS_MAX of them */
	int edges, overflow, cgroups, cgroup_places, losses, socket_totals, prefix_rules,
		records; /* file descriptors */
	int evidence_totals, evidence_tables[2], evidence_shares, evidence_tenants, evidence_unsettled;
	__u32 edge_capacity;
};

/* Takes the maps of a loaded object. 0, or -1 after saying why. */
int pinned_maps__open(struct pinned_maps *maps, struct bpf_object *object);

/* Whether programs of this generation are those that count: false once a newer probe has taken over. */
bool pinned_maps__is_active(const struct pinned_maps *maps, uint64_t generation);

/* The only way to lose a fact in the probe: records nobody takes, namespaces nobody can read. */
void loss__count(struct pinned_maps *maps, enum loss loss, __u64 count);

/* Losses of the kernel (over all CPUs) and of the probe, since the maps were made. */
void losses__read(const struct pinned_maps *maps, __u64 losses[LOSS_COUNT]);

/* One of enum socket_total, over all CPUs. */
__u64 socket_total__read(const struct pinned_maps *maps, enum socket_total total);

/* One total, over all CPUs. 0 or -errno. */
int evidence_total__read(const struct pinned_maps *maps, const struct evidence_total_key *key,
			 struct evidence_total *sum);

/* Deletes all entries; `key` is room for one key. */
void map__clear(int fd, void *key, const char *name);

__u64 clock__boot_ns(void);
__u64 clock__realtime_ns(void);

/* Both at one moment: read again where something came between them. */
#define CLOCKS_APART_NS 10000
void clock__read_both(__u64 *boot_ns, __u64 *realtime_ns);

#endif
