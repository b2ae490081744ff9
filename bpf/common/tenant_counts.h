/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How many edges the tenant of one place has, and when the place is free again. Pure.
 *
 *   first edge ──► edges 0 → 1, and the id is written into the free place
 *   last edge  ──► edges 1 → 0 → TENANT_LEAVES, which no addition passes unseen; the id goes; edges - TENANT_LEAVES
 *
 * Exact with hooks on all CPUs: whoever looks at the id has counted itself before, so that nobody frees the place meanwhile. Who
 * finds another's id there leaves as an edge does, and frees the place if it was the last one to go.
 */
#ifndef COMMON_TENANT_COUNTS_H
#define COMMON_TENANT_COUNTS_H

#include "contract/pinned.h"
#include "contract/types.h"

#define TENANT_LEAVES (1ULL << 40)

/* Counts one edge less. */
static inline __attribute__((always_inline)) void tenant__drop(struct tenant *tenant)
{
	if (__sync_fetch_and_add(&tenant->edges, -1) != 1)
		return;
	if (__sync_val_compare_and_swap(&tenant->edges, 0, TENANT_LEAVES))
		return; /* somebody has entered since */
	*(volatile __u64 *)&tenant->id = 0;
	__sync_fetch_and_add(&tenant->edges, -TENANT_LEAVES);
}

/* Counts one edge more where the place is the tenant's, or is free and `may_take`. @return whether it is */
static inline __attribute__((always_inline)) bool tenant__add(struct tenant *tenant, __u64 id, bool may_take)
{
	if (__sync_fetch_and_add(&tenant->edges, 1) < TENANT_LEAVES) {
		__u64 owner = *(volatile __u64 *)&tenant->id;

		if (!owner && may_take)
			owner = __sync_val_compare_and_swap(&tenant->id, 0, id) ?: id;
		if (owner == id)
			return true;
	}
	tenant__drop(tenant);
	return false;
}

#endif
