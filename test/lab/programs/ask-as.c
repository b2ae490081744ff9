/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a process that runs ask the kernel for something, as code that has taken it over would: ask-as PID WHAT.
 *
 * The process waits in a system call. It is stopped there, its registers get another call, and it goes on at
 * the instruction that enters the kernel. What becomes of it is for the caller to see.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <elf.h>

static const struct request {
	const char *name;
	long call;
	unsigned long first;
} requests[] = {
	{ "socket", SYS_socket, 2 },
	{ "program", SYS_execve, 0 },
	{ "load", SYS_bpf, BPF_PROG_LOAD },
	{ "madvise", SYS_madvise, 0 }, /* allowed; of no memory at all, which is answered as if nothing had happened */
};

static void die(const char *what)
{
	fprintf(stderr, "ask-as: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Puts the call into the registers, and the process before the instruction that it has just executed. */
static void registers__ask(struct user_regs_struct *registers, const struct request *request)
{
#if defined(__x86_64__)
	registers->rax = (unsigned long)request->call;
	registers->orig_rax = -1UL; /* nothing to restart */
	registers->rip -= 2;        /* syscall */
	registers->rdi = request->first;
	registers->rsi = registers->rdx = 0;
#elif defined(__aarch64__)
	registers->regs[8] = (unsigned long)request->call;
	registers->regs[0] = request->first;
	registers->regs[1] = registers->regs[2] = 0;
	registers->pc -= 4; /* svc */
#else
#error "which registers hold a system call is not known here"
#endif
}

int main(int argc, char **argv)
{
	struct user_regs_struct registers;
	struct iovec bytes = { .iov_base = &registers, .iov_len = sizeof(registers) };
	const struct request *request = NULL;
	pid_t pid;
	int status;

	for (unsigned i = 0; argc == 3 && i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (strcmp(argv[2], requests[i].name) == 0)
			request = &requests[i];
	}
	if (!request) {
		fprintf(stderr, "usage: ask-as PID socket|program|load|madvise\n");
		return 1;
	}
	pid = (pid_t)atol(argv[1]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		die("cannot trace it");
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		die("it does not stop");
	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &bytes))
		die("cannot read its registers");
	registers__ask(&registers, request);
	if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &bytes) || ptrace(PTRACE_DETACH, pid, NULL, NULL))
		die("cannot let it go on");
	return 0;
}
