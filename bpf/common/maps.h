/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The maps that programs of any protocol share, and the accessors that every program starts with. Maps of one protocol lie
 * beside the code that fills them.
 *
 * Each map says who writes, who reads, why this size and what happens when it is full. The probe pins all maps but `blank`
 * and `unfound` (tcp/adopt.h), so that they outlive it.
 */
#ifndef COMMON_MAPS_H
#define COMMON_MAPS_H

#include "contract/frames.h"
#include "contract/losses.h"
#include "contract/pinned.h"
#include "kernel/helpers.h"

/* Set before load. Programs of another generation than settings.generation do nothing: see pinned.h. */
const volatile __u64 generation = 0;

/* Set before load: inode number of the probe's pid namespace, whose /proc it reads. */
const volatile __u32 pid_namespace = 0;

struct {
	/*
	 * Growth by edge. Added to by hooks and walk, read by the probe, subtracted from by `settle`. Not
	 * preallocated: an edge costs about 2 KiB, so the default's worst case is 130 MB, and a table for
	 * 1,000,000 costs 16 MB until it is used. Full: growth goes to `overflow`.
	 */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct edge_key);
	__type(value, struct edge_value);
} edges SEC(".maps");

struct {
	/* One edge for each role (index role - 1) that takes what found no room in `edges`. Cannot be full. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct edge_value);
} overflow SEC(".maps");

struct {
	/*
	 * Who holds how much: see tenants.h. Written by hooks, walk and `settle`, read by the probe through mmap. A node has some
	 * hundred pods and units; those that find no place share one.
	 */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TENANTS_MAX);
	__type(key, __u32);
	__type(value, struct tenant);
} tenants SEC(".maps");

struct {
	/*
	 * A socket's cgroup -> the one that names it, for all that are counted. Written on first sight, read when a socket
	 * starts. Whoever may make cgroups fills it: then others are found anew, at the cost of a microsecond a level.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} cgroup_places SEC(".maps");

struct {
	/*
	 * Names of the cgroups that have edges. Written on first sight, read by the probe. Runtimes and systemd make these
	 * cgroups, nobody below them. Least recently used goes first: 4,096 is far more containers than a
	 * node runs, and a name that was pushed out is learned again from its next socket. It takes 2 KiB for each.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct frame_cgroup);
} cgroups SEC(".maps");

struct {
	/* struct record, to the probe. Full: LOSS_RECORDS_FULL counts, the edges lose nothing. */
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

struct {
	/* How many sockets were marked and seen closing (enum socket_total). Cannot be full. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SOCKET_TOTAL_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} socket_totals SEC(".maps");

struct {
	/* What sampling goes by on each CPU. A softirq may interrupt its update: then a token may count for two records. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sampler);
} samplers SEC(".maps");

struct {
	/* How many records each tenant has had of late on each CPU: see tokens.h. A place that got another tenant is forgotten soon. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TENANTS_MAX);
	__type(key, __u32);
	__type(value, struct tenant_records);
} tenant_records SEC(".maps");

struct {
	/* What every program goes by. Written by the probe alone, field by field through mmap. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	/* Where the exchanges stand, and counts. Probe (through mmap) and programs add to fields of their own, atomically. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} state SEC(".maps");

struct {
	/* Prefixes whose addresses collapse to one edge. Written by the probe, read when a server's connection opens. */
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct prefix_rule_key);
	__type(value, struct prefix_rule_value);
} prefix_rules SEC(".maps");

struct {
	/* Rows for `settle`: filled by the probe through mmap, results read back the same way. */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SETTLEMENTS_MAX);
	__type(key, __u32);
	__type(value, struct settlement);
} settlements SEC(".maps");

struct {
	/*
	 * Net namespaces that the running `namespaces` iteration has written: inode number -> exchange. Full: one may be
	 * written twice, which its reader takes for the same.
	 */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} namespaces_seen SEC(".maps");

struct {
	/* An empty edge to copy from: too large for the stack. */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct edge_value);
} blank SEC(".maps");

static const __u32 zero = 0;

/* @return the settings, or NULL when another generation of programs is active */
static __always_inline struct settings *settings__if_active(void)
{
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);

	return s && s->generation == generation ? s : NULL;
}

static __always_inline struct state *state__get(void)
{
	return bpf_map_lookup_elem(&state, &zero);
}

static __always_inline void socket_total__add(__u32 total)
{
	__u64 *count = bpf_map_lookup_elem(&socket_totals, &total);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* The only way to lose a fact here. */
static __always_inline void loss__count(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&losses, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
