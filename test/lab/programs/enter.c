/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a process where a container runtime would: enter [--cgroup DIR] [--net FILE] [--user UID] -- argv...
 *
 * The order matters: the cgroup comes first, because a socket keeps the cgroup of the moment it was made;
 * then the net namespace, then the user. `ip netns exec` is no substitute: it hides /sys/fs/cgroup and
 * /sys/fs/bpf behind a fresh sysfs. The process is killed when the one that started it dies, so that a
 * crashed lab leaves no process behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void die(const char *what, const char *name)
{
	fprintf(stderr, "enter: %s %s: %s\n", what, name, strerror(errno));
	exit(125);
}

static void enter_cgroup(const char *dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die("cannot enter cgroup", dir);
	close(fd);
}

static void enter_net(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("cannot enter net namespace", file);
	close(fd);
}

static void become(uid_t user)
{
	if (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user))
		die("cannot become user", "given");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cgroup", required_argument, NULL, 'c' },
		{ "net", required_argument, NULL, 'n' },
		{ "user", required_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	pid_t parent = getppid();
	long user = -1;
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == 'c')
			enter_cgroup(optarg);
		else if (option == 'n')
			enter_net(optarg);
		else if (option == 'u')
			user = atol(optarg);
		else
			return 125;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: enter [--cgroup DIR] [--net FILE] [--user UID] -- argv...\n");
		return 125;
	}
	if (user >= 0)
		become(user);
	/* After the change of user, which clears it (prctl(2)). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("cannot tie the life to", "the parent");
	if (getppid() != parent)
		return 125;
	execvp(argv[optind], argv + optind);
	die("cannot run", argv[optind]);
}
