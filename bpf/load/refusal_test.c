/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What EPERM is said to be, by what can be known of the process and the kernel. */
#include "load/refusal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "load/capability.h"

/* refusal__look() is not called here. */
bool capability__held(int capability)
{
	return capability < 0;
}

static const char *explained(struct refusal_facts facts, const char **remedy)
{
	static struct refusal refusal;

	refusal__explain(&refusal, &facts);
	*remedy = refusal.remedy;
	return refusal.why;
}

static void missing_capabilities_come_before_what_they_may_hide(void)
{
	struct refusal_facts facts = { .bpf = true, .seccomp_filter = true, .call_refused = true, .locked_down = true };
	const char *remedy;

	assert(strcmp(explained(facts, &remedy), "CAP_PERFMON is missing") == 0);
	assert(strstr(remedy, "sudo"));
	assert(refusal__is_certain(&facts));
}

static void a_refused_call_under_a_filter_is_the_filters(void)
{
	struct refusal_facts facts = { .bpf = true, .perfmon = true, .seccomp_filter = true, .call_refused = true };
	const char *remedy;

	assert(strstr(explained(facts, &remedy), "a seccomp filter refuses bpf(2)"));
	assert(strstr(remedy, "seccompProfile"));
	assert(refusal__is_certain(&facts));
}

static void a_filter_that_lets_the_call_through_is_not_blamed(void)
{
	struct refusal_facts facts = { .sys_admin = true, .seccomp_filter = true, .locked_down = true };
	const char *remedy;

	assert(strstr(explained(facts, &remedy), "locked down"));
	assert(strstr(remedy, "lockdown=integrity"));
	assert(!refusal__is_certain(&facts));
}

static void without_a_filter_the_security_modules_are_named(void)
{
	struct refusal_facts facts = { .sys_admin = true, .call_refused = true, .modules = "lockdown,selinux" };
	const char *remedy;

	assert(strstr(explained(facts, &remedy), "a security module refuses bpf(2)"));
	assert(strstr(explained(facts, &remedy), "lockdown,selinux"));
	assert(strstr(remedy, "journalctl"));
}

int main(void)
{
	missing_capabilities_come_before_what_they_may_hide();
	a_refused_call_under_a_filter_is_the_filters();
	a_filter_that_lets_the_call_through_is_not_blamed();
	without_a_filter_the_security_modules_are_named();
	puts("refusal_test: ok");
	return 0;
}
