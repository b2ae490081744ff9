/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Performs one program of socket calls in a net namespace of its own and says what happened:
 *
 *     torture CGROUPS < PROGRAM        CGROUPS has the directories a, b and c, one for each puppet
 *
 * A program is lines up to a single dot. `a send 3 100` is for puppet a; `a& send 3 100` does not wait for the answer;
 * `. rule 4 -A INPUT ...`, `. sleep 20`, `. sysctl NAME VALUE`, `. mtu 1500`, `. churn` and `. barrier` are for the
 * interpreter itself. At the end it closes everything, waits until no connection is left, prints the wire
 * and the kernel's books of the namespace, and waits with the namespace for a line on stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "torture.h"

#define PUPPETS 3
#define LINES 1024
#define QUIET_MS 3000

static struct puppet puppets[PUPPETS];
static int channels[PUPPETS];
static int owed[PUPPETS]; /* the line whose answer was not waited for, and one */
static int wire;

static void die(const char *what)
{
	fprintf(stderr, "torture: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* 1 for a file, 0 where it cannot be written. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), done;

	if (fd < 0)
		return 0;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

static int set_link(const char *name, int mtu)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), result;

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (mtu)
		request.ifr_mtu = mtu;
	else
		request.ifr_flags = IFF_UP | IFF_RUNNING;
	result = ioctl(fd, mtu ? SIOCSIFMTU : SIOCSIFFLAGS, &request);
	close(fd);
	return result;
}

/* In its cgroup from its first moment: moving a process there afterwards waits for all CPUs. */
static pid_t fork_into(const char *cgroup)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		die(cgroup);
	args.cgroup = fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	close(fd);
	return pid;
}

static void start_puppet(int i, const char *cgroups, const int *passing)
{
	struct puppet *puppet = &puppets[i];
	struct stat directory;
	char cgroup[512];
	int pair[2];
	pid_t pid;

	*puppet = (struct puppet){ .passing = { passing[0], passing[1] }, .name = 'a' + i, .cgroups = cgroups };
	memset(puppet->fds, -1, sizeof(puppet->fds));
	snprintf(cgroup, sizeof(cgroup), "%s/%c", cgroups, puppet->name);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		die("socketpair");
	pid = fork_into(cgroup);
	if (pid < 0)
		die("clone3");
	if (pid == 0) {
		char name[16] = "torture-";

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		name[8] = puppet->name;
		prctl(PR_SET_NAME, name);
		for (int other = 0; other < i; other++)
			close(channels[other]);
		close(wire);
		puppet_run(puppet, pair[1]);
	}
	close(pair[1]);
	channels[i] = pair[0];
	if (stat(cgroup, &directory))
		die(cgroup);
	/* A cgroup's id is its directory's inode number. */
	printf("cgroup %c %lu\n", puppet->name, directory.st_ino);
	printf("puppet %c %d\n", puppet->name, pid);
}

/* One answer may be several lines: `closeall` closes every slot. */
static void print_answer(int i)
{
	static char text[REPLY_BYTES];
	ssize_t length = recv(channels[i], text, sizeof(text) - 1, 0);
	char *rest = text, *next;

	if (length <= 0)
		die("a puppet is gone");
	text[length] = 0;
	while ((next = strsep(&rest, "\n")))
		if (*next)
			printf("call %d %c %s\n", owed[i] - 1, 'a' + i, next);
	owed[i] = 0;
}

static void ask(int i, int line, const char *text, int waits)
{
	if (owed[i])
		print_answer(i);
	if (send(channels[i], text, strlen(text), MSG_NOSIGNAL) < 0)
		die("a puppet does not listen");
	owed[i] = line + 1;
	if (waits)
		print_answer(i);
}

static int run_tool(char **argv)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* rule 4|6 ARGUMENTS of iptables */
static int rule(char *arguments)
{
	char *argv[WORDS + 2] = { *arguments == '6' ? "ip6tables" : "iptables", "-w" };
	char *rest = arguments + 1, *next;
	int count = 2;

	while (count < WORDS && (next = strsep(&rest, " ")))
		if (*next)
			argv[count++] = next;
	return run_tool(argv);
}

/* A net namespace and a connection in it that come and go. */
static int churn(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) || set_link("lo", 0));
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int set_kernel(char *arguments)
{
	char path[256], *value = strchr(arguments, ' ');

	if (!value)
		return -1;
	*value++ = 0;
	snprintf(path, sizeof(path), "/proc/sys/%s", arguments);
	return write_file(path, value) ? 0 : -1;
}

/* @return whether it was `word` */
static bool wait_for_line(const char *word)
{
	char line[64];

	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	line[strcspn(line, "\n")] = 0;
	return !strcmp(line, word);
}

/* Until it is told to go on; each `look` before that is answered by what is open then. */
static void barrier(int line)
{
	for (int p = 0; p < PUPPETS; p++)
		if (owed[p])
			print_answer(p);
	printf("barrier %d\n", line);
	while (wait_for_line("look"))
		look_print(puppets[0].cgroups, line);
}

static void own_call(int i, char *text)
{
	char *arguments = strchr(text, ' ');
	uint64_t from = boot_ns();
	int result = -1;

	if (arguments)
		*arguments++ = 0;
	else
		arguments = text + strlen(text);
	if (!strcmp(text, "sleep"))
		result = usleep(atoi(arguments) * 1000);
	else if (!strcmp(text, "rule"))
		result = rule(arguments);
	else if (!strcmp(text, "sysctl"))
		result = set_kernel(arguments);
	else if (!strcmp(text, "mtu"))
		result = set_link("lo", atoi(arguments));
	else if (!strcmp(text, "churn"))
		result = churn();
	if (!strcmp(text, "barrier")) {
		barrier(i);
		result = 0;
	}
	printf("call %d . %s - %lu %lu %d 0\n", i, text, from, boot_ns(), result);
}

static void run_line(int i, char *text)
{
	char *command = strchr(text, ' ');
	int puppet = *text - 'a';

	if (!command)
		return;
	if (*text == '.')
		own_call(i, command + 1);
	else if (puppet >= 0 && puppet < PUPPETS)
		ask(puppet, i, command + 1, text[1] != '&');
}

static int in_use(void)
{
	const char *files[] = { "/proc/self/net/sockstat", "/proc/self/net/sockstat6" };
	int sum = 0, count;
	char line[256];

	for (int i = 0; i < 2; i++) {
		FILE *file = fopen(files[i], "r");

		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, i ? "TCP6: inuse %d" : "TCP: inuse %d", &count) == 1)
				sum += count;
		if (file)
			fclose(file);
	}
	return sum;
}

/* Closes what is open and waits until the kernel has no connection left; what stays too long is destroyed, and said. */
static void end(int lines)
{
	uint64_t deadline, from;

	for (int i = 0; i < PUPPETS; i++)
		ask(i, lines, "reap", 1);
	for (int i = 0; i < PUPPETS; i++)
		ask(i, lines, "closeall", 1);
	/* A file descriptor that nobody took is closed with its Unix sockets. */
	close(puppets[0].passing[0]);
	close(puppets[0].passing[1]);
	deadline = boot_ns() + QUIET_MS * 1000000ULL;
	while (in_use() > 0 && boot_ns() < deadline)
		usleep(3000);
	from = boot_ns();
	if (in_use() > 0)
		printf("destroyed %lu %d\n", from, destroy(0, 0));
	printf("left %d\n", in_use());
}

/* The wire has the wall clock, which may be set while a program runs. */
static void print_clock(void)
{
	printf("realtime %ld\n", (long)(realtime_ns() - boot_ns()));
}

static void print_end(void)
{
	print_clock();
	wire_print(wire);
	books_print();
	printf("end\n");
	wait_for_line("leave");
}

int main(int argc, char **argv)
{
	static char text[LINES][LINE_BYTES], buffer[1 << 20];
	struct stat namespace;
	int passing[2], lines = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: torture CGROUPS < PROGRAM\n");
		return 125;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	if (unshare(CLONE_NEWNET) || set_link("lo", 0) || (wire = wire_open()) < 0)
		die("net namespace");
	if (stat("/proc/self/ns/net", &namespace) || socketpair(AF_UNIX, SOCK_DGRAM, 0, passing))
		die("namespace");
	printf("netns %lu\n", namespace.st_ino);
	print_clock();
	fflush(stdout);
	for (int i = 0; i < PUPPETS; i++) {
		start_puppet(i, argv[1], passing);
		fflush(stdout);
	}
	while (lines < LINES && fgets(text[lines], LINE_BYTES, stdin) && strcmp(text[lines], ".\n")) {
		text[lines][strcspn(text[lines], "\n")] = 0;
		lines++;
	}
	for (int i = 0; i < lines; i++)
		run_line(i, text[i]);
	end(lines);
	print_end();
	return 0;
}
