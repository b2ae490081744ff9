/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A list of system calls → a seccomp filter of this process. It is the last step of a start, so the list has what serving
 * needs and nothing of what starting needs: no program can be loaded, no file written, no socket or process made.
 *
 * Written by hand and not by libseccomp: that is a library more in the image, for a filter that is one loop over this list.
 * A refused call ends the probe, which loses nothing, instead of failing: what goes on after a wrong answer is worse to find.
 */
#include "probe/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/exit_code.h"
#include "shared/log.h"

/* Where an argument decides as well: `place` among the arguments must have none of `mask`'s bits. */
struct allowed {
	int call;
	int place;
	unsigned mask;
};

static const struct allowed allowed[] = {
	/* The event loop, the agent's socket, iterators and /proc. */
	{ .call = SYS_epoll_ctl },
	{ .call = SYS_epoll_pwait },
	{ .call = SYS_epoll_pwait2 },
	{ .call = SYS_ppoll },
	{ .call = SYS_accept4 },
	{ .call = SYS_fcntl },
	{ .call = SYS_read },
	{ .call = SYS_readv },
	{ .call = SYS_write },
	{ .call = SYS_writev },
	{ .call = SYS_lseek },
	{ .call = SYS_close },
	{ .call = SYS_fstat },
	{ .call = SYS_newfstatat },
	{ .call = SYS_statx },
	{ .call = SYS_faccessat },
	{ .call = SYS_faccessat2 },
	{ .call = SYS_statfs },
	{ .call = SYS_fstatfs },
	{ .call = SYS_getdents64 },
	{ .call = SYS_readlinkat },
	{ .call = SYS_openat, .place = 2, .mask = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND },
	/* What runs: its clock, its cost, the kernel that it runs on. */
	{ .call = SYS_clock_gettime },
	{ .call = SYS_getrusage },
	{ .call = SYS_uname },
	{ .call = SYS_membarrier, .place = 0, .mask = ~(unsigned)MEMBARRIER_CMD_GLOBAL }, /* a grace period */
	{ .call = SYS_getpid },
	{ .call = SYS_gettid },
	/* Memory that is not code. */
	{ .call = SYS_brk },
	{ .call = SYS_mmap, .place = 2, .mask = PROT_EXEC },
	{ .call = SYS_mprotect, .place = 2, .mask = PROT_EXEC },
	{ .call = SYS_mremap },
	{ .call = SYS_munmap },
	{ .call = SYS_madvise },
	{ .call = SYS_getrandom },
	/* The C library's own, and the end. */
	{ .call = SYS_futex },
	{ .call = SYS_rt_sigprocmask },
	{ .call = SYS_rt_sigreturn },
	{ .call = SYS_restart_syscall },
	{ .call = SYS_sigaltstack },
	{ .call = SYS_exit },
	{ .call = SYS_exit_group },
#ifdef SYS_open /* not on newer architectures */
	{ .call = SYS_poll },
	{ .call = SYS_epoll_wait },
	{ .call = SYS_access },
	{ .call = SYS_stat },
	{ .call = SYS_lstat },
	{ .call = SYS_time },
	{ .call = SYS_readlink },
	{ .call = SYS_open, .place = 1, .mask = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND },
#endif
};

/* What bpf() may do: use maps, links and programs that are there. Nothing is made, loaded, attached, pinned or got by id. */
static const unsigned allowed_commands[] = {
	BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_BATCH, BPF_PROG_TEST_RUN,   BPF_ITER_CREATE,     BPF_OBJ_GET_INFO_BY_FD,
};

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define NUMBERS_END 0x40000000 /* from here on the same calls for x32, with arguments of another shape */
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif
#ifndef NUMBERS_END
#define NUMBERS_END 0x80000000
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define UNLESS_SKIP(test, value, steps) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 0, (steps))

#ifdef ARCHITECTURE

struct filter {
	struct sock_filter steps[5 * COUNT(allowed) + 2 * COUNT(allowed_commands) + 16];
	unsigned short count;
};

static void filter__add(struct filter *filter, struct sock_filter step)
{
	filter->steps[filter->count++] = step;
}

/* The call's number is loaded before and after. The arguments that are looked at are `int` or bits, in the lower half. */
static void filter__allow(struct filter *filter, const struct allowed *each)
{
	if (!each->mask) {
		filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JEQ, (unsigned)each->call, 1));
		filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
		return;
	}
	filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JEQ, (unsigned)each->call, 4));
	filter__add(filter, (struct sock_filter)LOAD(args[each->place]));
	filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JSET, each->mask, 1));
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
}

static void filter__allow_commands(struct filter *filter)
{
	filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JEQ, SYS_bpf, 2 * COUNT(allowed_commands) + 2));
	filter__add(filter, (struct sock_filter)LOAD(args[0]));
	for (unsigned i = 0; i < COUNT(allowed_commands); i++) {
		filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JEQ, allowed_commands[i], 1));
		filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
	}
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
}

static void filter__make(struct filter *filter)
{
	filter__add(filter, (struct sock_filter)LOAD(arch));
	filter__add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
	filter__add(filter, (struct sock_filter)LOAD(nr));
	filter__add(filter, (struct sock_filter)UNLESS_SKIP(BPF_JGE, NUMBERS_END, 1));
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
	for (unsigned i = 0; i < COUNT(allowed); i++)
		filter__allow(filter, &allowed[i]);
	filter__allow_commands(filter);
	filter__add(filter, (struct sock_filter)RETURN(SECCOMP_RET_TRAP));
}

/* In the place of a refused call. The log is called from nowhere else meanwhile: nothing that it uses makes such a call. */
static void on_refused(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	log_error("system call %d was refused: the probe ends, and the kernel goes on counting. Code that is not "
		  "flowspan's "
		  "runs here, or a library needs a call that flowspan does not know: then report the number, and set "
		  "FLOWSPAN_SECCOMP=off meanwhile",
		  info->si_syscall);
	_exit(EXIT_FAILED);
}

int confine(void)
{
	struct sigaction action = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO };
	struct filter filter = { .count = 0 };
	struct sock_fprog program = { .filter = filter.steps };

	filter__make(&filter);
	program.len = filter.count;
	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) {
		log_error("cannot limit system calls: %s; FLOWSPAN_SECCOMP=off goes on without", strerror(errno));
		return -1;
	}
	return 0;
}

#else

int confine(void)
{
	log_warn("system calls are not limited: flowspan knows no numbers of them on this architecture");
	return 0;
}

#endif
