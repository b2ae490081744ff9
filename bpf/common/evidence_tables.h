/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where programs count evidence of trouble.
 *
 *   evidence_totals                       by kind and reason, per CPU: exact at any rate, never subtracted from
 *   evidence_a, evidence_b                by key; one of them is counted into, the probe empties the other
 *   evidence_unsettled                    the probe's: what it took and no Collector has accepted
 *
 * The tables are swapped before one is emptied, so that the probe reads entries that nobody adds to. Programs never remove any.
 */
#ifndef COMMON_EVIDENCE_TABLES_H
#define COMMON_EVIDENCE_TABLES_H

#include "common/maps.h"
#include "common/tenants.h"
#include "contract/evidence.h"
#include "contract/pinned.h"
#include "contract/share.h"
#include "kernel/helpers.h"
#include "kernel/packets.h"

#define EVIDENCE_KEYS 8192
/* Of those, for one reason: a flood of one kind must not hide the others. */
#define EVIDENCE_SHARE (EVIDENCE_KEYS / 8)

struct {
	/* 130 core reasons, some tens of each subsystem. Full: LOSS_EVIDENCE_UNCOUNTED. */
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct evidence_total_key);
	__type(value, struct evidence_total);
} evidence_totals SEC(".maps");

struct evidence_table {
	/* Emptied once an exchange. Full: `left_out` of the total, and LOSS_EVIDENCE_FULL_DETAIL. It takes 160 bytes for each entry. */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EVIDENCE_KEYS);
	__type(key, struct evidence_key);
	__type(value, struct evidence_growth);
};

struct evidence_table evidence_a SEC(".maps");
struct evidence_table evidence_b SEC(".maps");

struct {
	/* Added to by programs, removed by the probe once the table is empty. As many as `evidence_totals` has, for each table. */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct evidence_share_key);
	__type(value, __u32);
} evidence_shares SEC(".maps");

struct {
	/* The same for each tenant: as many as there are keys, since each has one at least. */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * EVIDENCE_KEYS);
	__type(key, struct evidence_share_key);
	__type(value, __u32);
} evidence_tenants SEC(".maps");

struct {
	/* Full: nothing is taken over from the tables until the Collector accepts some, and they fill. */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * EVIDENCE_KEYS);
	__type(key, struct evidence_key);
	__type(value, struct evidence_value);
} evidence_unsettled SEC(".maps");

/* @return this CPU's total, or NULL after counting that there is no room for one more */
static __always_inline struct evidence_total *evidence_total__of(__u32 kind, __u32 reason)
{
	struct evidence_total_key key = { .kind = kind, .reason = reason };
	struct evidence_total *total = bpf_map_lookup_elem(&evidence_totals, &key);
	struct evidence_total none = {};

	if (total)
		return total;
	bpf_map_update_elem(&evidence_totals, &key, &none, BPF_NOEXIST);
	total = bpf_map_lookup_elem(&evidence_totals, &key);
	if (!total)
		loss__count(LOSS_EVIDENCE_UNCOUNTED);
	return total;
}

/*
 * Whether evidence without a counted socket is counted: everything is, or the namespace is one that counted threads live in.
 * Those are listed at each exchange.
 */
static __always_inline bool namespace__is_counted(__u32 netns, struct settings *s)
{
	return !s->filter_cgroup || bpf_map_lookup_elem(&namespaces_seen, &netns);
}

/* @return how many keys were made under this share, of one of the two maps of shares; NULL where there is no room for it */
static __always_inline __u32 *evidence_share__of(void *shares, const struct evidence_share_key *share)
{
	__u32 *taken = bpf_map_lookup_elem(shares, share), none = 0;

	if (taken)
		return taken;
	bpf_map_update_elem(shares, share, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(shares, share);
}

/* Whose evidence it is: the tenant of its cgroup, else who has the net namespace. */
static __always_inline __u32 evidence__tenant(const struct evidence_key *key)
{
	return key->cgroup ? (__u32)tenant__of(key->cgroup) : key->netns;
}

/*
 * Whether one more key may be made: a reason has its part of the table, and of that a tenant as many as are free, as of the
 * edge table (contract/share.h).
 */
static __always_inline bool evidence__take_share(const struct evidence_key *key, __u32 side)
{
	struct evidence_share_key share = { .kind = key->kind, .reason = key->reason, .side = side };
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	__u32 *all = evidence_share__of(&evidence_shares, &share), *own;

	share.tenant = evidence__tenant(key);
	own = evidence_share__of(&evidence_tenants, &share);
	if (!s || !all || !own ||
	    *(volatile __u32 *)own >= share__limit(EVIDENCE_SHARE, *(volatile __u32 *)all, s->asked.edges_share))
		return false;
	__sync_fetch_and_add(all, 1);
	__sync_fetch_and_add(own, 1);
	return true;
}

static __always_inline struct evidence_growth *evidence__find(const struct evidence_key *key, __u32 side)
{
	return side ? bpf_map_lookup_elem(&evidence_b, key) : bpf_map_lookup_elem(&evidence_a, key);
}

/* Makes the key's entry, with a count of 0. @return it, or NULL where there is no room */
static __always_inline struct evidence_growth *evidence__make(const struct evidence_key *key, __u32 side,
							      struct net_device *dev)
{
	struct evidence_growth none = {};

	if (!evidence__take_share(key, side))
		return NULL;
	if (key->ifindex)
		BPF_CORE_READ_STR_INTO(&none.device, dev, name);
	/* Where another CPU was faster, its entry is found. */
	if (side)
		bpf_map_update_elem(&evidence_b, key, &none, BPF_NOEXIST);
	else
		bpf_map_update_elem(&evidence_a, key, &none, BPF_NOEXIST);
	return evidence__find(key, side);
}

/* Counts one of `key` in detail. @param dev of key->ifindex */
static __always_inline void evidence__note(const struct evidence_key *key, struct evidence_total *total,
					   struct net_device *dev)
{
	struct state *st = state__get();
	struct evidence_growth *growth;
	__u32 side;

	if (!st)
		return;
	side = (__u32) * (volatile __u64 *)&st->evidence_side;
	growth = evidence__find(key, side);
	if (!growth)
		growth = evidence__make(key, side, dev);
	if (growth) {
		__sync_fetch_and_add(&growth->count, 1);
		return;
	}
	__sync_fetch_and_add(&total->left_out, 1);
	loss__count(LOSS_EVIDENCE_FULL_DETAIL);
}

#endif
