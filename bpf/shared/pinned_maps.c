/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The pinned maps as the probe uses them: settings, state, settlements and tenants mapped into memory, so that
 * one field is written without touching its neighbours, the others by file descriptor. Also the only
 * way to lose a fact on this side: loss__count().
 */
#include "shared/pinned_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "shared/log.h"

__u64 clock__boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (__u64)now.tv_sec * 1000000000ULL + (__u64)now.tv_nsec;
}

__u64 clock__realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (__u64)now.tv_sec * 1000000000ULL + (__u64)now.tv_nsec;
}

void clock__read_both(__u64 *boot_ns, __u64 *realtime_ns)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		*boot_ns = clock__boot_ns();
		*realtime_ns = clock__realtime_ns();
		if (clock__boot_ns() - *boot_ns < CLOCKS_APART_NS)
			return;
	}
}

static int map__fd(struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

static void *map__share(struct bpf_object *object, const char *name, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map__fd(object, name), 0);

	if (memory == MAP_FAILED) {
		log_error("cannot map %s into memory: %s", name, strerror(errno));
		return NULL;
	}
	return memory;
}

int pinned_maps__open(struct pinned_maps *maps, struct bpf_object *object)
{
	maps->edges = map__fd(object, "edges");
	maps->overflow = map__fd(object, "overflow");
	maps->cgroups = map__fd(object, "cgroups");
	maps->cgroup_places = map__fd(object, "cgroup_places");
	maps->losses = map__fd(object, "losses");
	maps->socket_totals = map__fd(object, "socket_totals");
	maps->prefix_rules = map__fd(object, "prefix_rules");
	maps->records = map__fd(object, "records");
	maps->evidence_totals = map__fd(object, "evidence_totals");
	maps->evidence_tables[0] = map__fd(object, "evidence_a");
	maps->evidence_tables[1] = map__fd(object, "evidence_b");
	maps->evidence_shares = map__fd(object, "evidence_shares");
	maps->evidence_tenants = map__fd(object, "evidence_tenants");
	maps->evidence_unsettled = map__fd(object, "evidence_unsettled");
	maps->edge_capacity = bpf_map__max_entries(bpf_object__find_map_by_name(object, "edges"));
	maps->settings = map__share(object, "settings", sizeof(*maps->settings));
	maps->state = map__share(object, "state", sizeof(*maps->state));
	maps->settlements = map__share(object, "settlements", SETTLEMENTS_MAX * sizeof(*maps->settlements));
	maps->tenants = map__share(object, "tenants", TENANTS_MAX * sizeof(*maps->tenants));
	return maps->settings && maps->state && maps->settlements && maps->tenants ? 0 : -1;
}

bool pinned_maps__is_active(const struct pinned_maps *maps, uint64_t generation)
{
	return __atomic_load_n(&maps->settings->generation, __ATOMIC_ACQUIRE) == generation;
}

void loss__count(struct pinned_maps *maps, enum loss loss, __u64 count)
{
	__u64 *field = loss == LOSS_AGENT_GONE_RECORDS ? &maps->state->agent_gone_records
		       : loss == LOSS_NOT_ADOPTED      ? &maps->state->not_adopted
		       : loss == LOSS_HOOK_GAP         ? &maps->state->hook_gaps
		       : loss == LOSS_FILTER_GAP       ? &maps->state->filter_gaps
						       : &maps->state->namespaces_unreadable;

	__atomic_fetch_add(field, count, __ATOMIC_RELAXED);
}

/* One counter of a per-CPU array, over all CPUs. */
static __u64 counter__read(int fd, __u32 index, const char *name)
{
	static int cpus;
	static __u64 *values;
	__u64 sum = 0;

	if (!values) {
		cpus = libbpf_num_possible_cpus();
		values = calloc((size_t)cpus, sizeof(*values));
	}
	if (!values || bpf_map_lookup_elem(fd, &index, values)) {
		log_warn("cannot read %s: %s", name, strerror(errno));
		return 0;
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu];
	return sum;
}

__u64 socket_total__read(const struct pinned_maps *maps, enum socket_total total)
{
	return counter__read(maps->socket_totals, total, "socket_totals");
}

int evidence_total__read(const struct pinned_maps *maps, const struct evidence_total_key *key,
			 struct evidence_total *sum)
{
	static int cpus;
	static struct evidence_total *values;

	if (!values) {
		cpus = libbpf_num_possible_cpus();
		values = calloc((size_t)cpus, sizeof(*values));
	}
	*sum = (struct evidence_total){ 0 };
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(maps->evidence_totals, key, values))
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum->count += values[cpu].count;
		sum->left_out += values[cpu].left_out;
	}
	return 0;
}

void losses__read(const struct pinned_maps *maps, __u64 losses[LOSS_COUNT])
{
	for (__u32 loss = 0; loss < LOSS_COUNT; loss++)
		losses[loss] = counter__read(maps->losses, loss, "losses");
	losses[LOSS_AGENT_GONE_RECORDS] += maps->state->agent_gone_records;
	losses[LOSS_NAMESPACE_UNREADABLE] += maps->state->namespaces_unreadable;
	losses[LOSS_NOT_ADOPTED] += maps->state->not_adopted;
	losses[LOSS_HOOK_GAP] += maps->state->hook_gaps;
	losses[LOSS_FILTER_GAP] += maps->state->filter_gaps;
	losses[LOSS_CLOSE_MISSED] += maps->state->close_missed;
}

void map__clear(int fd, void *key, const char *name)
{
	while (bpf_map_get_next_key(fd, NULL, key) == 0) {
		if (bpf_map_delete_elem(fd, key) && errno != ENOENT) {
			log_warn("cannot clear %s: %s", name, strerror(errno));
			return;
		}
	}
}
