/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What somebody who has taken over a running probe could ask of the kernel, each in a process of its own that is confined as
 * the probe is: every attack ends it with the number in the log, and what serving does goes on.
 */
#include "probe/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/exit_code.h"
#include "shared/log.h"

#define GOES_ON 23

void log__write(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vdprintf(STDERR_FILENO, format, args);
	va_end(args);
}

struct attempt {
	const char *what;
	long call, first, second, third;
};

static const struct attempt refused[] = {
	{ "make a socket", SYS_socket, AF_INET, SOCK_STREAM, 0 },
	{ "send to somebody", SYS_sendto, 0, 0, 0 },
	{ "run a program", SYS_execve, (long)"/bin/true", 0, 0 },
	{ "make a process", SYS_clone, SIGCHLD, 0, 0 },
	{ "trace a process", SYS_ptrace, 0, 0, 0 },
	{ "read another's memory", SYS_process_vm_readv, 1, 0, 0 },
	{ "signal a process", SYS_kill, 1, 0, 0 },
	{ "become another user", SYS_setuid, 0, 0, 0 },
	{ "enter a namespace", SYS_setns, 0, 0, 0 },
	{ "make a namespace", SYS_unshare, 0, 0, 0 },
	{ "mount", SYS_mount, 0, 0, 0 },
	{ "write to a file", SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY },
	{ "write to a file it reads", SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR },
	{ "make a file", SYS_openat, AT_FDCWD, (long)"/dev/null", O_CREAT },
	{ "remove a file", SYS_unlinkat, AT_FDCWD, (long)"/nowhere", 0 },
	{ "change a mode", SYS_fchmodat, AT_FDCWD, (long)"/nowhere", 0 },
	{ "map code", SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC },
	{ "make memory code", SYS_mprotect, 0, 0, PROT_EXEC },
	{ "make a file of memory", SYS_memfd_create, (long)"code", 0, 0 },
	{ "load a module", SYS_init_module, 0, 0, 0 },
	{ "count with perf", SYS_perf_event_open, 0, 0, 0 },
	{ "ask by a ring", SYS_io_uring_setup, 1, 0, 0 },
	{ "load a program", SYS_bpf, BPF_PROG_LOAD, 0, 0 },
	{ "attach a program", SYS_bpf, BPF_LINK_CREATE, 0, 0 },
	{ "attach to a tracepoint", SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, 0, 0 },
	{ "attach to a cgroup", SYS_bpf, BPF_PROG_ATTACH, 0, 0 },
	{ "make a map", SYS_bpf, BPF_MAP_CREATE, 0, 0 },
	{ "pin", SYS_bpf, BPF_OBJ_PIN, 0, 0 },
	{ "open a pin", SYS_bpf, BPF_OBJ_GET, 0, 0 },
	{ "open another's map", SYS_bpf, BPF_MAP_GET_FD_BY_ID, 0, 0 },
	{ "open another's program", SYS_bpf, BPF_PROG_GET_FD_BY_ID, 0, 0 },
#ifdef __x86_64__
	{ "read, as x32 does", 0x40000000 + SYS_read, 0, 0, 0 },
#endif
};

/* Runs `act` in a confined child. Returns how it ended, with what it wrote in `said`. */
static int confined(void (*act)(const struct attempt *), const struct attempt *attempt, char *said, size_t size)
{
	int fds[2], status;
	ssize_t length;
	pid_t child;

	assert(pipe(fds) == 0);
	child = fork();
	assert(child >= 0);
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || confine())
			_exit(EXIT_CANNOT_START);
		act(attempt);
		_exit(GOES_ON);
	}
	close(fds[1]);
	length = read(fds[0], said, size - 1);
	said[length > 0 ? length : 0] = '\0';
	close(fds[0]);
	assert(waitpid(child, &status, 0) == child);
	return status;
}

static void attack(const struct attempt *attempt)
{
	syscall((int)attempt->call, attempt->first, attempt->second, attempt->third, 0, 0, 0);
}

static void refused__test(const struct attempt *attempt)
{
	char said[1024], wanted[64];
	int status = confined(attack, attempt, said, sizeof(said));

	snprintf(wanted, sizeof(wanted), "system call %ld was refused", attempt->call);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED && strstr(said, wanted))
		return;
	fprintf(stderr, "%s: not refused: status %#x, %s\n", attempt->what, status, said);
	exit(1);
}

/* What libbpf, the C library and the event loop ask for. Kept apart from the probe, so that each call is made. */
static void serve(const struct attempt *attempt)
{
	struct timespec none = { 0 }, now;
	struct epoll_event event;
	struct rusage usage;
	struct utsname name;
	struct stat file;
	int epoll = (int)attempt->first, fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char bytes[64];
	void *memory;

	assert(fd >= 0 && read(fd, bytes, sizeof(bytes)) > 0 && fstat(fd, &file) == 0 && close(fd) == 0);
	assert(stat("/proc/self", &file) == 0 && access("/proc/1", F_OK) == 0);
	assert(epoll_pwait2(epoll, &event, 1, &none, NULL) == 0);
	assert(poll(NULL, 0, 0) == 0);
	assert(syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now) == 0);
	assert(getrusage(RUSAGE_SELF, &usage) == 0 && uname(&name) == 0);
	memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(memory != MAP_FAILED && munmap(memory, 1 << 20) == 0);
	/* Without a map: refused by bpf() itself, not by us. */
	assert(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, NULL, 0) < 0);
	assert(syscall(SYS_bpf, BPF_ITER_CREATE, NULL, 0) < 0);
}

#ifdef __x86_64__
/* By the gate of 32-bit programs, where numbers mean other calls: 20 is getpid(). */
static void enter_by_32_bit(const struct attempt *attempt)
{
	long result;

	(void)attempt;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
}
#endif

int main(void)
{
	struct attempt with_epoll = { .first = epoll_create1(EPOLL_CLOEXEC) };
	char said[1024];
	int status;

	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		refused__test(&refused[i]);
	status = confined(serve, &with_epoll, said, sizeof(said));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != GOES_ON) {
		fprintf(stderr, "serving was refused: status %#x, %s\n", status, said);
		return 1;
	}
#ifdef __x86_64__
	status = confined(enter_by_32_bit, NULL, said, sizeof(said));
	assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
#endif
	printf("confine: ok\n");
	return 0;
}
