/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel says EPERM for each of these and never why. What tells them apart: the capabilities that this process has; a
 * call of bpf(2) that asks for nothing, which the kernel itself answers with EINVAL; the modes that /proc and securityfs show.
 *
 * Container runtimes differ in the capability for which their default seccomp profile lets bpf(2) through: Docker since 23.0
 * (moby 43987) and containerd since 1.7 (containerd 7301) take CAP_BPF, older ones and CRI-O and Podman (containers/common
 * 1988) CAP_SYS_ADMIN alone.
 */
#include "load/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load/capability.h"

#define NO_SUCH_COMMAND 0x7fff

/* The first line of a file. False when it cannot be read. */
static bool line__read(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool read = file && fgets(line, (int)size, file);

	if (!read)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	return read;
}

static bool seccomp__is_filter(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (file)
		fclose(file);
	return mode == 2;
}

void refusal__look(struct refusal_facts *facts)
{
	char lockdown[128], attributes[128] = { 0 };

	*facts = (struct refusal_facts){
		.bpf = capability__held(CAP_BPF),
		.perfmon = capability__held(CAP_PERFMON),
		.sys_admin = capability__held(CAP_SYS_ADMIN),
		.seccomp_filter = seccomp__is_filter(),
	};
	facts->call_refused = syscall(SYS_bpf, NO_SUCH_COMMAND, attributes, sizeof(attributes)) && errno != EINVAL;
	facts->locked_down = line__read("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown)) &&
			     strstr(lockdown, "[confidentiality]");
	line__read("/sys/kernel/security/lsm", facts->modules, sizeof(facts->modules));
}

static bool rights__are_held(const struct refusal_facts *facts)
{
	return facts->sys_admin || (facts->bpf && facts->perfmon);
}

bool refusal__is_certain(const struct refusal_facts *facts)
{
	return !rights__are_held(facts) || facts->call_refused;
}

static void why__set(struct refusal *refusal, const char *why, const char *remedy)
{
	snprintf(refusal->why, sizeof(refusal->why), "%s", why);
	refusal->remedy = remedy;
}

void refusal__explain(struct refusal *refusal, const struct refusal_facts *facts)
{
	if (!rights__are_held(facts))
		why__set(refusal,
			 facts->bpf       ? "CAP_PERFMON is missing"
			 : facts->perfmon ? "CAP_BPF is missing"
					  : "CAP_BPF and CAP_PERFMON are missing",
			 "run with sudo; in a container add BPF and PERFMON");
	else if (facts->call_refused && facts->seccomp_filter)
		why__set(refusal,
			 "a seccomp filter refuses bpf(2) although the capabilities are there: the default profile of "
			 "some runtimes (CRI-O, Podman, Docker before 23.0, containerd before 1.7) allows it for "
			 "CAP_SYS_ADMIN alone",
			 "give the probe's container a seccomp profile that allows bpf "
			 "(securityContext.seccompProfile: Localhost; deploy/manifests/README.md), or a newer runtime");
	else if (facts->call_refused || facts->modules[0])
		snprintf(refusal->why, sizeof(refusal->why), "%s; security modules: %s",
			 facts->call_refused  ? "a security module refuses bpf(2) although the capabilities are there"
			 : facts->locked_down ? "the kernel is locked down (confidentiality), so BPF may not read it"
					      : "the capabilities are there, and bpf(2) is not refused as such",
			 facts->modules[0] ? facts->modules : "unknown");
	else
		why__set(refusal,
			 facts->locked_down ? "the kernel is locked down (confidentiality), so BPF may not read it"
					    : "the capabilities are there, and bpf(2) is not refused as such",
			 "");
	if (rights__are_held(facts) && !(facts->call_refused && facts->seccomp_filter))
		refusal->remedy = facts->locked_down && !facts->call_refused
					  ? "boot with lockdown=integrity, or none"
					  : "look for refusals: journalctl -k -g 'avc|apparmor|bpf'";
}
