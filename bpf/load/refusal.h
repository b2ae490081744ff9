/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Why the kernel says EPERM to bpf(2): a right that is missing, a seccomp filter, a security module. */
#ifndef LOAD_REFUSAL_H
#define LOAD_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

struct refusal_facts {
	bool bpf, perfmon, sys_admin; /* CapEff */
	bool call_refused;            /* also a call that asks for nothing */
	bool seccomp_filter;          /* /proc/self/status, Seccomp: 2 */
	bool locked_down;             /* /sys/kernel/security/lockdown: confidentiality */
	char modules[128];            /* /sys/kernel/security/lsm; "": cannot be read */
};

struct refusal {
	char why[512];
	const char *remedy; /* what to run or to write */
};

/* Looks at this process and kernel. */
void refusal__look(struct refusal_facts *facts);

/* Whether these facts let no program be loaded, whatever it is. */
bool refusal__is_certain(const struct refusal_facts *facts);

/* Says why no program can be loaded. False where nothing speaks against it. */
bool refusal__report(void);

/* The likely cause of an EPERM. Pure. */
void refusal__explain(struct refusal *refusal, const struct refusal_facts *facts);

#endif
