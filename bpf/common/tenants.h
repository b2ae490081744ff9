/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How much each tenant holds of what all share: a place for each tenant, and counts in it (tenant_counts.h).
 *
 *   a new edge ──► the place of its tenant: edges + 1 ──► more than its share? ──► edges - 1, and it is the tenant's overflow edge
 *   eviction   ──► edges - 1 ──► 0: the place is free
 *
 * Places never move. Sockets that are known by address, and listeners, have places of their own, with the same counts.
 */
#ifndef COMMON_TENANTS_H
#define COMMON_TENANTS_H

#include "common/maps.h"
#include "common/tenant_counts.h"
#include "contract/pinned.h"
#include "contract/share.h"
#include "kernel/helpers.h"

/* Where a tenant's place may be: from its hash on. */
#define TENANT_PLACES 16

static __always_inline struct tenant *tenant__in(void *places, __u32 place)
{
	return bpf_map_lookup_elem(places, &place);
}

static __always_inline struct tenant *tenant__at(__u32 place)
{
	return tenant__in(&tenants, place);
}

/* Whose share what a cgroup makes is part of. A cgroup whose row is just being made, or went, has one by itself. */
static __always_inline __u64 tenant__of(__u64 cgroup)
{
	struct frame_cgroup *known = bpf_map_lookup_elem(&cgroups, &cgroup);

	return known && known->tenant ? known->tenant : cgroup;
}

/* @return the first of its places, of which none is TENANT_NOBODY */
static __always_inline __u32 tenant__first_place(__u64 id)
{
	return (__u32)((id * 0x9E3779B97F4A7C15ULL) >> 40) % (TENANTS_MAX - TENANT_PLACES) + 1;
}

/* @param places the array that counts. @return as tenant__enter() */
static __always_inline int tenant__enter_in(void *places, __u64 id)
{
	__u32 first = tenant__first_place(id);
	struct tenant *tenant;
	__u32 i;

	for (i = 0; i < TENANT_PLACES; i++) {
		tenant = tenant__in(places, first + i);
		if (tenant && tenant->id == id && tenant__add(tenant, id, false))
			return first + i;
	}
	for (i = 0; i < TENANT_PLACES; i++) {
		tenant = tenant__in(places, first + i);
		if (tenant && (!tenant->id || tenant->id == id) && tenant__add(tenant, id, true))
			return first + i;
	}
	tenant = tenant__in(places, TENANT_NOBODY);
	if (tenant)
		__sync_fetch_and_add(&tenant->edges, 1);
	return TENANT_NOBODY;
}

/* @param place one that tenant__enter_in() gave */
static __always_inline void tenant__leave_in(void *places, __u32 place)
{
	struct tenant *tenant = tenant__in(places, place);

	if (!tenant)
		return;
	if (place == TENANT_NOBODY)
		__sync_fetch_and_add(&tenant->edges, -1);
	else
		tenant__drop(tenant);
}

/* Where a table has places of its own, so many of them: the last one counts all. */
#define TENANTS_AND_ALL (TENANTS_MAX + 1)

/* Counts one less at a place that tenant__take_in() gave. */
static __always_inline void tenant__give_back_in(void *places, __u32 place)
{
	struct tenant *all = tenant__in(places, TENANTS_MAX);

	tenant__leave_in(places, place);
	if (all)
		__sync_fetch_and_add(&all->edges, -1);
}

/* Counts one more of a cgroup's tenant. @return its place; -1: the tenant holds its share of `room` */
static __always_inline int tenant__take_in(void *places, __u64 cgroup, __u32 room)
{
	int place = tenant__enter_in(places, tenant__of(cgroup));
	struct tenant *tenant = tenant__in(places, place);
	struct tenant *all = tenant__in(places, TENANTS_MAX);
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);

	if (!all || !tenant || !s)
		return -1; /* cannot be: arrays always have their entries */
	__sync_fetch_and_add(&all->edges, 1);
	if (tenant->edges <= share__limit(room, all->edges - 1, s->asked.edges_share))
		return place;
	tenant__give_back_in(places, place);
	return -1;
}

/*
 * Counts one edge more of a tenant.
 *
 * @return its place; TENANT_NOBODY, which all share that found none
 */
__noinline int tenant__enter(__u64 id)
{
	return tenant__enter_in(&tenants, id);
}

/* Counts one edge less at a place that tenant__enter() gave. */
__noinline int tenant__leave(__u32 place)
{
	tenant__leave_in(&tenants, place);
	return 0;
}

#endif
