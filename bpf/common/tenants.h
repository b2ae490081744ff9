/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How much each tenant holds of what all share: a place for each tenant, and counts in it.
 *
 *   a new edge ──► the place of its tenant: edges + 1 ──► more than its share? ──► edges - 1, and it is the tenant's overflow edge
 *   eviction   ──► edges - 1 ──► 0: the place is free
 *
 * Exact with hooks on all CPUs, since places never move. Who finds another's id behind its addition takes that back, and
 * a place is freed by moving its count from 0 to TENANT_LEAVES, which no addition passes unseen.
 */
#ifndef COMMON_TENANTS_H
#define COMMON_TENANTS_H

#include "common/maps.h"
#include "contract/pinned.h"
#include "kernel/helpers.h"

/* Where a tenant's place may be: from its hash on. */
#define TENANT_PLACES 16
#define TENANT_LEAVES (1ULL << 40)

static __always_inline struct tenant *tenant__at(__u32 place)
{
	return bpf_map_lookup_elem(&tenants, &place);
}

/* @return whether the place was the tenant's, and has one edge more now */
static __always_inline bool tenant__add(struct tenant *tenant, __u64 id)
{
	if (__sync_fetch_and_add(&tenant->edges, 1) < TENANT_LEAVES && *(volatile __u64 *)&tenant->id == id)
		return true;
	__sync_fetch_and_add(&tenant->edges, -1);
	return false;
}

/* @return the first of its places, of which none is TENANT_NOBODY */
static __always_inline __u32 tenant__first_place(__u64 id)
{
	return (__u32)((id * 0x9E3779B97F4A7C15ULL) >> 40) % (TENANTS_MAX - TENANT_PLACES) + 1;
}

/*
 * Counts one edge more of a tenant.
 *
 * @return its place; TENANT_NOBODY, which all share that found none
 */
__noinline int tenant__enter(__u64 id)
{
	__u32 first = tenant__first_place(id);
	struct tenant *tenant;
	__u32 i;

	for (i = 0; i < TENANT_PLACES; i++) {
		tenant = tenant__at(first + i);
		if (tenant && tenant->id == id && tenant__add(tenant, id))
			return first + i;
	}
	for (i = 0; i < TENANT_PLACES; i++) {
		__u64 before;

		tenant = tenant__at(first + i);
		if (!tenant)
			continue;
		before = __sync_val_compare_and_swap(&tenant->id, 0, id);
		if ((!before || before == id) && tenant__add(tenant, id))
			return first + i;
	}
	tenant = tenant__at(TENANT_NOBODY);
	if (tenant)
		__sync_fetch_and_add(&tenant->edges, 1);
	return TENANT_NOBODY;
}

/* Counts one edge less at a place that tenant__enter() gave. */
__noinline int tenant__leave(__u32 place)
{
	struct tenant *tenant = tenant__at(place);

	if (!tenant || __sync_fetch_and_add(&tenant->edges, -1) != 1 || place == TENANT_NOBODY)
		return 0;
	if (__sync_val_compare_and_swap(&tenant->edges, 0, TENANT_LEAVES))
		return 0; /* somebody has entered since */
	*(volatile __u64 *)&tenant->id = 0;
	__sync_fetch_and_add(&tenant->edges, -TENANT_LEAVES);
	return 0;
}

#endif
