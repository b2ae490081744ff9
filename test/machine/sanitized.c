/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Linked into the probe with the sanitizers (scripts/sanitized), and into nothing else: how they are set, and leave for the leak
 * check at the end. That check looks at the probe from a thread with ptrace, which the kernel refuses once the probe has
 * become another user, unless it is dumpable. What the process may do is the same.
 */
#include <stdlib.h>
#include <sys/prctl.h>

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* An exit code that the probe has not: its supervisor ends, too. */
const char *__asan_default_options(void)
{
	return "exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=16";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1";
}

static void process__be_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

/* Before main(): what it leaves for the end runs before the leak check. */
__attribute__((constructor)) static void sanitizers__prepare(void)
{
	atexit(process__be_dumpable);
}
