/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The supervisor: starts the probe as a child, and again with a growing pause when a signal or a failure
 * ended it. It ends on SIGTERM or SIGINT, and when its stdin is a pipe or socket whose other end closed,
 * so that an agent that was killed leaves no process behind. The child learns of the supervisor's own
 * death the same way, by a pipe. It opens nothing, reads nothing and holds no map.
 */
#include "probe/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/exit_code.h"
#include "shared/log.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 30000
#define STEADY_MS 60000 /* a probe that ran this long starts over with the first pause */

static long long clock__ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* stdin where it is somebody's lifeline, else -1: /dev/null and terminals say nothing about our parent. */
static int stdin__lifeline(void)
{
	struct stat file;

	if (fstat(STDIN_FILENO, &file) == 0 && (S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode)))
		return STDIN_FILENO;
	return -1;
}

enum wake { WAKE_TIMEOUT, WAKE_CHILD, WAKE_STOP };

/* Sleeps until the child ended, somebody wants us to stop, or `timeout_ms` passed. */
static enum wake supervisor__sleep(int signal_fd, int lifeline, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = signal_fd, .events = POLLIN }, { .fd = lifeline } };
	struct signalfd_siginfo signal;

	if (poll(fds, 2, timeout_ms) <= 0)
		return WAKE_TIMEOUT;
	if (fds[1].revents & (POLLHUP | POLLERR)) {
		log_info("stdin was closed: ending");
		return WAKE_STOP;
	}
	if (read(signal_fd, &signal, sizeof(signal)) != sizeof(signal))
		return WAKE_TIMEOUT;
	if (signal.ssi_signo == SIGCHLD)
		return WAKE_CHILD;
	log_info("%s: ending", strsignal((int)signal.ssi_signo));
	return WAKE_STOP;
}

/* Ends the child: SIGTERM, and SIGKILL when it has not ended 15 s later; an agent may take 12. Returns its status. */
static int child__end(pid_t child, int signal_fd)
{
	long long deadline = clock__ms() + 15000;
	int status = 0;

	kill(child, SIGTERM);
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (clock__ms() >= deadline)
			kill(child, SIGKILL);
		supervisor__sleep(signal_fd, -1, 100);
	}
	return status;
}

/* Waits for the child's end. True with its status in `status` when it ended by itself. */
static bool child__wait(pid_t child, int signal_fd, int lifeline, int *status)
{
	for (;;) {
		enum wake wake = supervisor__sleep(signal_fd, lifeline, 1000);

		if (wake == WAKE_STOP) {
			*status = child__end(child, signal_fd);
			return false;
		}
		if (waitpid(child, status, WNOHANG) == child)
			return true;
	}
}

static bool status__is_final(int status)
{
	if (!WIFEXITED(status))
		return false;
	return WEXITSTATUS(status) != EXIT_FAILED;
}

static void supervisor__pause(int signal_fd, int lifeline, int pause_ms)
{
	long long until = clock__ms() + pause_ms;

	for (long long left = pause_ms; left > 0; left = until - clock__ms()) {
		if (supervisor__sleep(signal_fd, lifeline, (int)left) == WAKE_STOP)
			exit(EXIT_ENDED);
	}
}

int supervise__run(void)
{
	int lifeline = stdin__lifeline(), pause_ms = PAUSE_FIRST_MS, pipe_fds[2], signal_fd;
	sigset_t signals, before;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (signal_fd < 0 || pipe2(pipe_fds, O_CLOEXEC)) {
		log_error("cannot start the supervisor: %s", strerror(errno));
		exit(EXIT_CANNOT_START);
	}
	for (;;) {
		long long started = clock__ms();
		int status = 0;
		pid_t child = fork();

		if (child < 0) {
			log_error("cannot fork: %s", strerror(errno));
			exit(EXIT_CANNOT_START);
		}
		if (child == 0) {
			close(signal_fd);
			close(pipe_fds[1]);
			sigprocmask(SIG_SETMASK, &before, NULL);
			return pipe_fds[0];
		}
		if (!child__wait(child, signal_fd, lifeline, &status))
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_ENDED);
		if (status__is_final(status))
			exit(WEXITSTATUS(status));
		if (clock__ms() - started >= STEADY_MS)
			pause_ms = PAUSE_FIRST_MS;
		log_warn("the probe died (%s %d); nothing is lost, starting it again in %d ms",
			 WIFSIGNALED(status) ? "signal" : "exit code",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), pause_ms);
		supervisor__pause(signal_fd, lifeline, pause_ms);
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
}
