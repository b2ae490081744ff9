/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Programs count into one of two tables. An exchange swaps them, waits until no program uses the other one, and moves its
 * entries to `evidence_unsettled`, where they stay until they are settled.
 *
 *   side 0 ⇄ side 1 ── drain ──► evidence_unsettled ── rows ──► agent ── settle ──► subtracted, and gone at 0
 *
 * All of it is pinned, and each step may be repeated: a probe that is killed between any two loses and doubles nothing.
 */
#include "exchange/evidence_rows.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exchange/neighbour_tables.h"
#include "load/reasons.h"
#include "shared/log.h"

/*
 * Returns when every program that was running has ended: the kernel's own grace period. Without it (nohz_full refuses it) a
 * count of that very moment could be removed with its entry.
 */
static void programs__wait(void)
{
	static bool warned;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0 || warned)
		return;
	warned = true;
	log_warn("membarrier: %s: a drop may be missing in the detail, in the moment of an exchange", strerror(errno));
}

/* Adds one entry of the table to what is unsettled. Once a drain, however often it is called. 0 or -errno. */
static int entry__take(struct pinned_maps *maps, const struct evidence_key *key, const struct evidence_growth *growth)
{
	const struct state *state = maps->state;
	struct evidence_value value = { .since_ns = state->evidence_drain_since_ns, .settled = state->exchange - 1 };

	if (bpf_map_lookup_elem(maps->evidence_unsettled, key, &value) == 0 && value.drain == state->evidence_drain)
		return 0;
	memcpy(value.device, growth->device, sizeof(value.device));
	value.count += growth->count;
	value.drain = state->evidence_drain;
	return bpf_map_update_elem(maps->evidence_unsettled, key, &value, BPF_ANY);
}

/* Gives the table's shares back: it is empty. @param shares one of the two maps */
static void shares__clear(int shares, __u32 side)
{
	struct evidence_share_key key, next;
	void *last = NULL;

	while (bpf_map_get_next_key(shares, last, &next) == 0) {
		if (last && key.side == side)
			bpf_map_delete_elem(shares, &key);
		key = next;
		last = &key;
	}
	if (last && key.side == side)
		bpf_map_delete_elem(shares, &key);
}

/*
 * Empties the table that programs do not use. The next key is asked for before its entry goes: behind one that is gone the
 * kernel begins at its first bucket again. False: there is no room for more that is unsettled.
 */
static bool table__drain(struct pinned_maps *maps, __u32 side)
{
	int table = maps->evidence_tables[side];
	struct evidence_growth growth;
	struct evidence_key key, next;
	bool any, more;

	more = any = bpf_map_get_next_key(table, NULL, &key) == 0;
	for (; more; key = next) {
		more = bpf_map_get_next_key(table, &key, &next) == 0;
		if (bpf_map_lookup_elem(table, &key, &growth) == 0 && entry__take(maps, &key, &growth))
			return false;
		bpf_map_delete_elem(table, &key);
	}
	if (any) {
		shares__clear(maps->evidence_shares, side);
		shares__clear(maps->evidence_tenants, side);
	}
	return true;
}

/* Swaps the tables, unless nothing was counted. */
static void tables__swap(struct pinned_maps *maps)
{
	struct state *state = maps->state;
	struct evidence_key key;
	__u32 side = (__u32)state->evidence_side;

	if (bpf_map_get_next_key(maps->evidence_tables[side], NULL, &key)) {
		state->evidence_since_ns = state->exchange_ns;
		return;
	}
	state->evidence_drain_since_ns = state->evidence_since_ns;
	state->evidence_drain++;
	state->evidence_since_ns = state->exchange_ns;
	__atomic_store_n(&state->evidence_side, side ^ 1, __ATOMIC_RELEASE);
	programs__wait();
}

/* All that programs have counted becomes unsettled, as far as there is room. */
static void tables__take(struct pinned_maps *maps)
{
	/* What a probe that was killed, or a full map, has left. */
	if (!table__drain(maps, (__u32)maps->state->evidence_side ^ 1))
		return;
	tables__swap(maps);
	table__drain(maps, (__u32)maps->state->evidence_side ^ 1);
}

static bool rows__send(struct exchange *exchange)
{
	struct pinned_maps *maps = exchange->maps;
	struct evidence_value value;
	struct evidence_key key;
	void *last = NULL;

	while (bpf_map_get_next_key(maps->evidence_unsettled, last, &key) == 0) {
		struct frame_evidence row = { .key = key, .exchange = maps->state->exchange };

		last = &key;
		if (bpf_map_lookup_elem(maps->evidence_unsettled, &key, &value))
			continue;
		row.since_ns = value.since_ns;
		row.count = value.count;
		memcpy(row.device, value.device, sizeof(row.device));
		if (!cgroup__announce(exchange, key.cgroup))
			continue; /* its names are being learned: the next exchange has it */
		if (!output__frame(exchange->output, FRAME_EVIDENCE, &row, sizeof(row)))
			return false;
	}
	return true;
}

static bool totals__send(struct exchange *exchange)
{
	struct evidence_total_key key;
	void *last = NULL;

	while (bpf_map_get_next_key(exchange->maps->evidence_totals, last, &key) == 0) {
		struct frame_evidence_total total = { .kind = key.kind,
						      .reason = key.reason,
						      .started_ns = exchange->maps->state->started_ns };
		struct evidence_total sum;

		last = &key;
		if (evidence_total__read(exchange->maps, &key, &sum))
			continue;
		total.count = sum.count;
		total.left_out = sum.left_out;
		if (key.kind == EVIDENCE_DROP)
			reason__name(key.reason, total.name);
		if (!output__frame(exchange->output, FRAME_EVIDENCE_TOTAL, &total, sizeof(total)))
			return false;
	}
	return true;
}

bool evidence__send(struct exchange *exchange)
{
	/* Two probes must not take at once: the newer one does. */
	if (pinned_maps__is_active(exchange->maps, exchange->programs->generation))
		tables__take(exchange->maps);
	return rows__send(exchange) && totals__send(exchange) && neighbour_tables__send(exchange->output);
}

bool evidence__settle(struct pinned_maps *maps, const struct frame_evidence *row)
{
	struct evidence_value value;

	/* Rows of maps that are gone name growth that is not here. */
	if (row->since_ns < maps->state->started_ns || row->exchange > maps->state->exchange)
		return false;
	if (bpf_map_lookup_elem(maps->evidence_unsettled, &row->key, &value) || value.settled >= row->exchange ||
	    value.count < row->count)
		return false;
	value.count -= row->count;
	value.settled = row->exchange;
	/* As with edges, the last exchange's time: later than the row's point, so that series never overlap. */
	value.since_ns = maps->state->exchange_ns;
	if (value.count == 0)
		return bpf_map_delete_elem(maps->evidence_unsettled, &row->key) == 0;
	return bpf_map_update_elem(maps->evidence_unsettled, &row->key, &value, BPF_EXIST) == 0;
}
