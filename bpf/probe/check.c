/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Tries what a start would do and prints what came of it, for `flowspan doctor`. The programs are really
 * loaded and attached, of a generation that never becomes active and without pins: when this process
 * ends, nothing is left.
 */
#include "probe/check.h"

#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "contract/contract.h"
#include "load/bpffs.h"
#include "load/features.h"
#include "shared/log.h"
#include "shared/options.h"
#include "load/capability.h"
#include "load/programs.h"
#include "load/refusal.h"
#include "probe/privileges.h"

static const char *boolean(bool value)
{
	return value ? "true" : "false";
}

static void text__print(const char *text)
{
	char escaped[1024];

	json__escape(escaped, sizeof(escaped), 0, text);
	printf("\"%s\"", escaped);
}

static void hooks__print(const struct features *features, const bool attached[HOOKS_MAX])
{
	printf("  \"hooks\": [\n");
	for (int i = 0; i < hook_count; i++) {
		printf("    {\"name\": \"%s\", \"tracepoint\": \"%s\", \"required\": %s, \"found\": %s, \"attached\": "
		       "%s, \"cost\": ",
		       hooks[i].program, hooks[i].tracepoint, boolean(hooks[i].required), boolean(features->hook[i]),
		       boolean(attached[i]));
		text__print(hooks[i].cost);
		printf("}%s\n", i + 1 < hook_count ? "," : "");
	}
	printf("  ],\n");
}

static void limits__print(void)
{
	struct rlimit memlock = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &memlock);
	printf("  \"memlock\": {\"unlimited\": %s, \"bytes\": %llu},\n", boolean(memlock.rlim_cur == RLIM_INFINITY),
	       memlock.rlim_cur == RLIM_INFINITY ? 0ULL : (unsigned long long)memlock.rlim_cur);
	printf("  \"capabilities\": {\"bpf\": %s, \"perfmon\": %s, \"sys_admin\": %s, \"sys_resource\": %s, "
	       "\"setuid\": %s, "
	       "\"setgid\": %s, \"setpcap\": %s},\n",
	       boolean(capability__held(CAP_BPF)), boolean(capability__held(CAP_PERFMON)),
	       boolean(capability__held(CAP_SYS_ADMIN)), boolean(capability__held(CAP_SYS_RESOURCE)),
	       boolean(capability__held(CAP_SETUID)), boolean(capability__held(CAP_SETGID)),
	       boolean(capability__held(CAP_SETPCAP)));
}

/* The bpffs that a start would use, as far as it is mounted. */
static const char *bpffs__wanted(const char *pins)
{
	if (!pins)
		return bpffs__mounted();
	return bpffs__holds(pins) ? pins : NULL;
}

int check__print(const struct options *options)
{
	const char *bpffs = bpffs__wanted(options->pins), *missing = privileges__missing(options->stay_root);
	char cgroup2[PATH_MAX] = "", problem[1024] = "";
	bool attached[HOOKS_MAX] = { false }, loaded, cgroup2_mounted, can_run;
	struct features features;
	struct refusal_facts facts;
	struct refusal refusal;
	struct utsname system;
	bool refused;

	uname(&system);
	features__detect(&features, options->sockets_by_address);
	cgroup2_mounted = cgroup2__find(cgroup2, sizeof(cgroup2));
	refusal__look(&facts);
	refusal__explain(&refusal, &facts);
	refused = refusal__is_certain(&facts);
	if (refused)
		snprintf(problem, sizeof(problem), "%s", refusal.why);
	else if (!features.btf)
		snprintf(problem, sizeof(problem), "no BTF: the kernel must be built with CONFIG_DEBUG_INFO_BTF=y");
	else if (missing)
		snprintf(problem, sizeof(problem), "%s", missing);
	loaded = !problem[0] && programs__try(&features, attached, problem, sizeof(problem)) == 0;
	can_run = loaded && attached[0] && (bpffs || capability__held(CAP_SYS_ADMIN));

	printf("{\n  \"version\": \"%s\",\n  \"protocol\": %d,\n", FLOWSPAN_VERSION, FLOWSPAN_PROTOCOL);
	printf("  \"kernel\": \"%s\",\n  \"machine\": \"%s\",\n", system.release, system.machine);
	printf("  \"can_run\": %s,\n  \"btf\": %s,\n", boolean(can_run), boolean(features.btf));
	printf("  \"load\": {\"ok\": %s, \"problem\": ", boolean(loaded));
	text__print(problem);
	printf(", \"remedy\": ");
	text__print(refused ? refusal.remedy : missing ? PRIVILEGES_REMEDY : "");
	printf("},\n");
	hooks__print(&features, attached);
	printf("  \"iterators\": {\"bpf_sk_storage_map\": %s, \"task_file\": %s},\n", boolean(features.iter_sk_storage),
	       boolean(features.iter_task));
	printf("  \"sockets_by_address\": {\"possible\": %s, \"asked\": %s},\n", boolean(features.read_only_cast),
	       boolean(options->sockets_by_address));
	printf("  \"cgroup_names\": %s,\n", boolean(features.cgroup_names));
	printf("  \"bpffs\": {\"mounted\": %s, \"path\": ", boolean(bpffs));
	text__print(bpffs ? bpffs : "");
	printf("},\n");
	printf("  \"cgroup_v2\": {\"mounted\": %s, \"used\": %s, \"path\": ", boolean(cgroup2_mounted),
	       boolean(features.cgroup_v2));
	text__print(cgroup2);
	printf("},\n");
	limits__print();
	printf("  \"proc_snmp\": %s\n}\n", boolean(features.proc_snmp));
	return can_run ? 0 : 1;
}
