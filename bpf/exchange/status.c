/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Reports on ourselves: losses, table fill, CPU time and memory of this process, runs and misses of each
 * kernel program. Only reads.
 */
#include "exchange/status.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "contract/share.h"
#include "flowspan.skel.h"
#include "shared/log.h"

static __u64 process__cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (__u64)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ULL +
	       (__u64)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static __u64 process__rss_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!statm || fscanf(statm, "%*u %lu", &pages) != 1)
		log_warn("cannot read /proc/self/statm: %s", strerror(errno));
	if (statm)
		fclose(statm);
	return (__u64)pages * (__u64)sysconf(_SC_PAGESIZE);
}

/* Edges of the tenant that holds most; those without a place of their own are none. */
static __u64 tenant_edges__most(const struct pinned_maps *maps)
{
	__u64 most = 0;

	for (__u32 place = TENANT_NOBODY + 1; place < TENANTS_MAX; place++) {
		__u64 edges = __atomic_load_n(&maps->tenants[place].edges, __ATOMIC_RELAXED);

		if (edges > most && edges <= maps->edge_capacity) /* more: that place is just being freed */
			most = edges;
	}
	return most;
}

void status__send(const struct pinned_maps *maps, const struct own_memory *memory, struct output *output, __u64 edges,
		  __u64 cgroups, __u64 records)
{
	struct frame_status status = {
		.edges = edges,
		.edge_capacity = maps->edge_capacity,
		.evicted = maps->state->evicted,
		.cgroups = cgroups,
		.records = records,
		.probe_cpu_us = process__cpu_us(),
		.probe_rss_bytes = process__rss_bytes(),
		.adopted = maps->state->adopted,
		.tenant_edges = tenant_edges__most(maps),
		.tenant_limit =
			share__limit(maps->edge_capacity, maps->state->edges, maps->settings->asked.edges_share),
	};

	losses__read(maps, status.losses);
	own_memory__read(memory, &status.memory_charged, &status.memory_limit);
	output__frame(output, FRAME_STATUS, &status, sizeof(status));
}

/* Fifteen letters tell our programs apart only without the prefixes that hooks' names share. */
static const char *program__short_name(const char *name)
{
	static const char *const prefixes[] = { "inet_sock_", "tcp_" };

	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], length) == 0)
			return name + length;
	}
	return name;
}

void programs__report(const struct programs *programs, struct output *output)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, programs->skeleton->obj) {
		struct frame_program frame = { 0 };
		struct bpf_prog_info info = { 0 };
		__u32 length = sizeof(info);

		if (bpf_program__fd(program) < 0)
			continue; /* its hook does not exist here */
		if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length)) {
			log_warn("%s: cannot read its statistics: %s", bpf_program__name(program), strerror(errno));
			continue;
		}
		snprintf(frame.name, sizeof(frame.name), "%.15s", program__short_name(bpf_program__name(program)));
		frame.runs = info.run_cnt;
		frame.run_time_ns = info.run_time_ns;
		frame.recursion_misses = info.recursion_misses;
		output__frame(output, FRAME_PROGRAM, &frame, sizeof(frame));
	}
}
