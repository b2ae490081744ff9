/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How much each tenant holds of what all share: a place for each tenant, and counts in it (tenant_counts.h).
 *
 *   a new edge ──► the place of its tenant: edges + 1 ──► more than its share? ──► edges - 1, and it is the tenant's overflow edge
 *   eviction   ──► edges - 1 ──► 0: the place is free
 *
 * Places never move.
 */
#ifndef COMMON_TENANTS_H
#define COMMON_TENANTS_H

#include "common/maps.h"
#include "common/tenant_counts.h"
#include "contract/pinned.h"
#include "kernel/helpers.h"

/* Where a tenant's place may be: from its hash on. */
#define TENANT_PLACES 16

static __always_inline struct tenant *tenant__at(__u32 place)
{
	return bpf_map_lookup_elem(&tenants, &place);
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
		if (tenant && tenant->id == id && tenant__add(tenant, id, false))
			return first + i;
	}
	for (i = 0; i < TENANT_PLACES; i++) {
		tenant = tenant__at(first + i);
		if (tenant && (!tenant->id || tenant->id == id) && tenant__add(tenant, id, true))
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

	if (!tenant)
		return 0;
	if (place == TENANT_NOBODY)
		__sync_fetch_and_add(&tenant->edges, -1);
	else
		tenant__drop(tenant);
	return 0;
}

#endif
