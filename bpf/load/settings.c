/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What programs find in the pinned settings when they begin: what an earlier probe left there stays, but for what this machine,
 * these maps and these options say anew.
 */
#include "load/settings.h"

#include <time.h>

#define IDLE_NS_DEFAULT (300ULL * 1000000000ULL)

/* The kernel's tick, which the coarse clocks tell: CONFIG_HZ is not readable everywhere. */
static uint32_t kernel__jiffies_per_s(void)
{
	struct timespec tick;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return (uint32_t)((1000000000 + tick.tv_nsec / 2) / tick.tv_nsec);
}

static void filter__set(struct pinned_maps *maps, const struct cgroup_filter *filter)
{
	struct settings *settings = maps->settings;
	__u64 id;

	if (settings->filter_cgroup == filter->cgroup && settings->filter_level == filter->level)
		return;
	settings->filter_level = filter->level;
	settings->filter_cgroup = filter->cgroup;
	map__clear(maps->cgroup_places, &id, "cgroup_places"); /* an entry there says: counted */
	map__clear(maps->cgroups, &id, "cgroups");             /* names begin below the filter */
}

void settings__prepare(struct pinned_maps *maps, const struct cgroup_filter *filter)
{
	struct settings *settings = maps->settings;

	if (!maps->state->started_ns) {
		maps->state->exchange_ns = maps->state->started_ns = clock__boot_ns();
		maps->state->evidence_since_ns = maps->state->started_ns;
	}
	if (!settings->asked.idle_ns)
		settings->asked.idle_ns = IDLE_NS_DEFAULT;
	settings->jiffies_per_s = kernel__jiffies_per_s();
	settings->edge_capacity = maps->edge_capacity;
	filter__set(maps, filter);
}
