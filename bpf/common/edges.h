/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The edge table: find or make an edge within its tenant's share, add to it, leave it.
 *
 * Additions are atomic, so hooks on all CPUs, the walk and `settle` work on one edge at once. Between
 * edge__enter() and edge__leave() an edge cannot be evicted: a reference in `refs` holds it. Eviction sets
 * `evicting` first and goes on only if there is no reference (settle.h); both sides use full barriers.
 */
#ifndef COMMON_EDGES_H
#define COMMON_EDGES_H

#include "common/histogram.h"
#include "common/maps.h"
#include "common/tenants.h"
#include "contract/edge.h"
#include "contract/frames.h"
#include "contract/pinned.h"
#include "contract/share.h"
#include "kernel/helpers.h"

/* What to do when there is no memory for a new edge at this moment. */
enum edge_miss {
	EDGE_MISS_DEFERS,    /* return NULL: the caller counts it later */
	EDGE_MISS_OVERFLOWS, /* the last chance to count: take the overflow edge */
};

#define edge__add(field, amount) __sync_fetch_and_add(&(field), (amount))

static __always_inline bool key__is_overflow(const struct edge_key *key)
{
	const __u64 *words = (const void *)key;

	return !(words[1] | words[2] | words[3] | words[4] | key->netns | key->server_port);
}

/* @return 0, or the error of the insertion: -E2BIG when the table is full, -ENOMEM for the moment */
static __always_inline int edge__insert(const struct edge_key *key, __u32 place, struct state *st)
{
	struct edge_value *fresh = bpf_map_lookup_elem(&blank, &zero);
	int failed;

	if (!fresh)
		return -ENOENT;
	/* An interrupt may write these between here and the copy: with values just as good. */
	fresh->settled = st->exchange;
	fresh->since_ns = st->exchange_ns;
	fresh->active_ns = st->exchange_ns;
	failed = bpf_map_update_elem(&edges, key, fresh, BPF_NOEXIST);
	if (failed)
		return failed;
	edge__add(st->edges, 1);
	/* Not in the copy: there an interrupt would put another's. Until it is there nobody evicts the edge (settle.h). */
	fresh = bpf_map_lookup_elem(&edges, key);
	if (fresh)
		fresh->tenant = place + 1;
	return 0;
}

/*
 * Not static: the verifier looks at it once, and not for each caller.
 *
 * @return as edge__insert(); -EDQUOT when the tenant holds its share
 */
__noinline int edge__make(struct edge_key *of)
{
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct state *st = state__get();
	struct tenant *tenant;
	struct edge_key key;
	__u32 place;
	int failed;

	if (!of || !s || !st)
		return -ENOENT;
	key = *of; /* a copy: before 6.2 an argument is no map key for the verifier */
	place = tenant__enter(tenant__of(key.cgroup));
	tenant = tenant__at(place);
	if (tenant && tenant->edges > share__limit(s->edge_capacity, st->edges, s->asked.edges_share) &&
	    !key__is_overflow(&key))
		failed = -EDQUOT;
	else
		failed = edge__insert(&key, place, st);
	if (failed)
		tenant__leave(place);
	return failed;
}

static __always_inline struct edge_value *edge__overflow(__u8 role)
{
	__u32 index = role - 1;
	struct edge_value *edge = bpf_map_lookup_elem(&overflow, &index);

	if (edge)
		edge__add(edge->refs, 1);
	loss__count(LOSS_EDGE_TABLE_FULL_DETAIL);
	return edge;
}

static __always_inline bool key__equal(const struct edge_key *a, const struct edge_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4] && x[5] == y[5];
}

/*
 * Whether `edge`, held through `refs`, is the edge of `key`. It may not be: the map's allocator hands
 * memory of a removed edge out again at once, so between lookup and hold a pointer can change owner.
 * A fresh edge has no key yet; being found under its key while it is held makes it ours to name.
 */
static __always_inline bool edge__is_of(struct edge_value *edge, const struct edge_key *key)
{
	if (*(volatile __u32 *)&edge->evicting)
		return false;
	if (key__equal(&edge->key, key))
		return true;
	if (bpf_map_lookup_elem(&edges, key) != edge)
		return false;
	edge->key = *key;
	return true;
}

/* @return the edge of `key`, made if there was none, held; NULL, and why in `error` */
static __always_inline struct edge_value *edge__hold(struct edge_key *key, int *error)
{
	int attempt;

	/* Once is the rule; more only while another CPU evicts the same edge. */
	for (attempt = 0; attempt < 3; attempt++) {
		struct edge_value *edge = bpf_map_lookup_elem(&edges, key);

		if (!edge) {
			*error = edge__make(key);
			edge = bpf_map_lookup_elem(&edges, key);
			if (!edge)
				break;
		}
		edge__add(edge->refs, 1);
		if (edge__is_of(edge, key))
			return edge;
		edge__add(edge->refs, -1);
	}
	return NULL;
}

/*
 * @return the edge of `key`, made if there was none, to be left with edge__leave(); the cgroup's overflow edge when its
 *         tenant holds its share, that of all when the table is full; NULL only with EDGE_MISS_DEFERS
 */
static __always_inline struct edge_value *edge__enter(struct edge_key *key, enum edge_miss miss)
{
	int error = 0;
	struct edge_value *edge = edge__hold(key, &error);

	if (edge)
		return edge;
	if (error == -EDQUOT) {
		struct edge_key own = { .cgroup = key->cgroup, .role = key->role, .protocol = key->protocol };

		edge = edge__hold(&own, &error);
		if (edge) {
			loss__count(LOSS_EDGE_SHARE_FULL_DETAIL);
			return edge;
		}
	}
	if (miss == EDGE_MISS_DEFERS && error != -E2BIG)
		return NULL;
	return edge__overflow(key->role);
}

/*
 * Notes growth at `now_ns`. The first growth since the edge was settled happened after the last exchange,
 * however long ago it was settled: several edges may share a series, whose start must not lie before what
 * another edge had accepted since (OTLP data model, "Overlap").
 */
static __always_inline void edge__touch(struct edge_value *edge, __u64 now_ns)
{
	struct state *st = state__get();

	if (st && edge->active_ns <= edge->since_ns)
		edge->since_ns = st->exchange_ns;
	edge->active_ns = now_ns;
}

static __always_inline void edge__leave(struct edge_value *edge)
{
	edge__add(edge->refs, -1);
}

/* Starts the edge's gauges anew at the first socket that this walk finds on it. */
static __always_inline void edge__begin_gauges(struct edge_value *edge, __u64 walk)
{
	if (edge->open_walk == walk)
		return;
	edge->open = 0;
	edge->limit = 0;
	edge->open_walk = walk;
}

/* Adds one value to one of an edge's histograms and to its sum. */
#define edge__observe(edge, name, NAME, value_us)                                                      \
	do {                                                                                           \
		__u64 observed_us = (value_us);                                                        \
		edge__add((edge)->growth.name##_us, observed_us);                                      \
		edge__add((edge)->slots[SLOT_##NAME + histogram__slot(observed_us, NAME##_SLOTS)], 1); \
	} while (0)

#endif
