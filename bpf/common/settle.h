/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Subtracts from an edge what the Collector has accepted, and removes edges that have nothing left.
 *
 * Only the settle program does either, one settlement at a time; hooks may add meanwhile. A settlement
 * that comes twice (the probe died before it could say that it was applied) is recognised by its
 * exchange number and does nothing. One that would take more than there is does nothing either, and is counted: a counter
 * that went below 0 would be 2^64 to its next reader.
 */
#ifndef COMMON_SETTLE_H
#define COMMON_SETTLE_H

#include "common/edges.h"
#include "common/maps.h"
#include "common/tenants.h"
#include "contract/share.h"
#include "kernel/helpers.h"

#define COUNTERS (sizeof(struct edge_counters) / sizeof(__u64))

static __always_inline struct edge_value *settle__find(const struct edge_key *key)
{
	__u32 index = key->role - 1;

	if (!key->cgroup)
		return bpf_map_lookup_elem(&overflow, &index);
	return bpf_map_lookup_elem(&edges, key);
}

/* Whether the edge has all that the row would take. Hooks only add, so what is there now is there when it is taken. */
static __always_inline bool settle__has(struct edge_value *edge, struct settlement *row)
{
	volatile __u64 *growth = (__u64 *)&edge->growth;
	volatile __u32 *slots = edge->slots;
	__u64 *accepted = (__u64 *)&row->growth;
	__u32 i;

	for (i = 0; i < COUNTERS; i++)
		if (accepted[i] > growth[i])
			return false;
	for (i = 0; i < SLOT_COUNT; i++)
		if (row->slots[i] > slots[i])
			return false;
	return true;
}

static __always_inline bool edge__has_growth(struct edge_value *edge)
{
	volatile __u64 *growth = (__u64 *)&edge->growth;
	__u64 any = 0;
	__u32 i;

	/* Slots follow: nothing adds to a slot that does not add to a counter as well, inside one enter and leave. */
	for (i = 0; i < COUNTERS; i++)
		any |= growth[i];
	return any != 0;
}

/*
 * From when on the edge grows anew. What its row took may have come after the exchange's time, while rows were read: then
 * nothing is left of it, and the next growth is a first one (edge__touch()). Read before it is asked what is left: what comes
 * in between happened after this, too.
 */
static __always_inline void settle__begin_anew(struct edge_value *edge, __u64 exchange_ns)
{
	__u64 active_ns = *(volatile __u64 *)&edge->active_ns;

	edge->since_ns = active_ns > exchange_ns && !edge__has_growth(edge) ? active_ns : exchange_ns;
}

static __always_inline __u16 settle__subtract(struct edge_value *edge, struct settlement *row)
{
	__u64 *growth = (__u64 *)&edge->growth;
	__u64 *accepted = (__u64 *)&row->growth;
	__u32 i;

	if (edge->settled >= row->exchange)
		return SETTLEMENT_REPEAT;
	if (!settle__has(edge, row)) {
		loss__count(LOSS_SETTLE_REFUSED);
		return SETTLEMENT_REFUSED;
	}
	for (i = 0; i < COUNTERS; i++)
		if (accepted[i])
			__sync_fetch_and_add(&growth[i], -accepted[i]);
	for (i = 0; i < SLOT_COUNT; i++)
		if (row->slots[i])
			__sync_fetch_and_add(&edge->slots[i], -row->slots[i]);
	settle__begin_anew(edge, row->boot_ns);
	/* A row may be accepted and its settlement die with the agent: only one that says 0 is the last word. */
	if (!row->reported && edge->open_walk <= row->exchange)
		edge->reported = 0;
	edge->settled = row->exchange;
	return SETTLEMENT_DONE;
}

/* Idle edges leave early where their tenant's share is nearly used up, or the table. */
static __always_inline __u64 settle__idle_ns(struct edge_value *edge, struct settings *s, struct state *st)
{
	struct tenant *tenant = tenant__at(edge->tenant - 1);
	__u64 limit = share__limit(s->edge_capacity, st->edges, s->asked.edges_share);
	bool is_pressed =
		share__is_pressed(st->edges, s->edge_capacity) || (tenant && share__is_pressed(tenant->edges, limit));

	return share__idle_ns(s->asked.idle_ns, is_pressed);
}

static __always_inline __u16 settle__evict(struct edge_value *edge, struct settlement *row, struct settings *s,
					   struct state *st)
{
	bool open = edge->open_walk == st->walk && (edge->open || edge->limit);
	__u32 tenant = edge->tenant;

	if (!row->key.cgroup || !tenant || open || edge->reported || edge__has_growth(edge) ||
	    edge->active_ns + settle__idle_ns(edge, s, st) > bpf_ktime_get_boot_ns())
		return SETTLEMENT_BUSY;
	__sync_lock_test_and_set(&edge->evicting, 1);
	/* From here on nobody can enter. Who is inside, or was since the check above, wins. */
	if (*(volatile __u32 *)&edge->refs || edge__has_growth(edge)) {
		__sync_lock_test_and_set(&edge->evicting, 0);
		return SETTLEMENT_BUSY;
	}
	if (bpf_map_delete_elem(&edges, &row->key))
		return SETTLEMENT_UNKNOWN; /* cannot be: nobody else removes edges */
	tenant__leave(tenant - 1);
	edge__add(st->edges, -1);
	edge__add(st->evicted, 1);
	return SETTLEMENT_DONE;
}

static long settle__one(__u32 index, void *unused)
{
	struct settlement *row = bpf_map_lookup_elem(&settlements, &index);
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct state *st = state__get();
	struct edge_value *edge;

	(void)unused;
	if (!row || !s || !st)
		return 1;
	edge = settle__find(&row->key);
	if (!edge)
		row->result = SETTLEMENT_UNKNOWN;
	else if (row->action == SETTLEMENT_EVICT)
		row->result = settle__evict(edge, row, s, st);
	else
		row->result = settle__subtract(edge, row);
	return 0;
}

/* Applies the first `count` rows of `settlements`. Run by the probe, BPF_PROG_RUN. */
SEC("syscall")
int settle(struct settle_context *ctx)
{
	__u64 count = ctx->count;

	if (!settings__if_active() || count > SETTLEMENTS_MAX)
		return -1;
	bpf_loop(count, settle__one, NULL, 0);
	return 0;
}

#endif
