/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real clients and servers that count their own bytes: the ground truth of the lab's tests.
 *
 *   workload serve --listen request,::,8080 --listen stuck,0.0.0.0,81,5 --listen reset,::,82,128,1000
 *   workload send  --to 10.244.0.10,8080 --count 23 --upload 1000 --upload-step 1 --download 500
 *   workload churn --to ... --count 300000        short connections from all cores
 *   workload hold  --to ... --count 20000         opens and keeps them; `send BYTES [BYTES]` moves data
 *   workload fail  --to ... --count 5             connections that are expected not to come to be
 *
 * Prints one JSON line each for ready, done (a round played on command), stats (on command) and end.
 * Obeys `send`, `stats` and `close` on stdin. SIGTERM, SIGINT and, for what has no end of its own, the end
 * of stdin mean `close`. Exit code 0 says that the counts of the last line are complete.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static struct job *job;
static struct counts *counts;
static int command_pipes[WORKERS_MAX];

static void open_listeners(void)
{
	for (int i = 0; i < job->server.listener_count; i++) {
		struct listener *listener = &job->server.listeners[i];
		int family = listener->at.address.ss_family, on = 1;

		listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, listener->protocol);
		if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
			die("socket");
		if (listener->reuseport && setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
			die("SO_REUSEPORT");
		if (family == AF_INET6 &&
		    setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &listener->v6only, sizeof(listener->v6only)))
			die("IPV6_V6ONLY");
		if (bind(listener->fd, (struct sockaddr *)&listener->at.address, listener->at.length) ||
		    listen(listener->fd, listener->backlog))
			die("cannot listen");
	}
}

static void work(uint32_t index, int commands, int news, pid_t parent)
{
	struct worker self = { index, job->workers, commands, news, &counts[index] };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		exit(1);
	if (job->is_server) {
		run_server(&job->server, &self);
	} else {
		job->client.parallel = (job->client.parallel + job->workers - 1) / job->workers;
		if (job->client.count) {
			job->client.count = (job->client.count + job->workers - 1 - index) / job->workers;
			if (!job->client.count)
				exit(0);
		}
		run_client(&job->client, &self);
	}
	exit(0);
}

static void start_workers(int news)
{
	for (uint32_t i = 0; i < job->workers; i++) {
		pid_t parent = getpid();
		int commands[2];

		if (pipe2(commands, O_CLOEXEC) || fcntl(commands[0], F_SETFL, O_NONBLOCK))
			die("pipe");
		switch (fork()) {
		case -1:
			die("fork");
			break;
		case 0:
			close(commands[1]);
			for (uint32_t other = 0; other < i; other++)
				close(command_pipes[other]);
			work(i, commands[0], news, parent);
			break;
		default:
			close(commands[0]);
			command_pipes[i] = commands[1];
		}
	}
}

static void command_workers(const char *line)
{
	/* A worker that has ended has closed its end: EPIPE is no failure then. */
	for (uint32_t i = 0; i < job->workers; i++)
		if (dprintf(command_pipes[i], "%s\n", line) < 0 && errno != EPIPE)
			die("cannot command a worker");
}

static void obey_line(const char *line)
{
	if (!strcmp(line, "stats"))
		print_counts("stats", counts, job->workers);
	else
		command_workers(line);
}

/* Returns the number of workers that have ended badly. */
static int await_workers(void)
{
	int bad = 0, status;

	while (wait(&status) > 0)
		bad += !WIFEXITED(status) || WEXITSTATUS(status);
	return bad;
}

/* Relays commands and news until every worker has closed its end of `news`. */
static void relay(int news, int signals)
{
	struct pollfd polls[3] = { { news, POLLIN, 0 }, { signals, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
	uint32_t ready = 0, done = 0;
	struct signalfd_siginfo signal;
	char line[256], byte;

	for (;;) {
		if (poll(polls, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (polls[1].revents && read(signals, &signal, sizeof(signal)) > 0)
			command_workers("close");
		if (polls[2].revents) {
			int got = read_command(STDIN_FILENO, line, sizeof(line));

			if (got > 0)
				obey_line(line);
			else if (got < 0)
				polls[2].fd = -1;
			if (got < 0 && !job->ends_by_itself)
				command_workers("close");
		}
		if (!polls[0].revents)
			continue;
		if (read(news, &byte, 1) != 1)
			return;
		if (byte == NEWS_READY && ++ready == job->workers)
			print_counts("ready", counts, job->workers);
		if (byte == NEWS_ROUND_DONE && ++done % job->workers == 0)
			print_counts("done", counts, job->workers);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	sigset_t stop;
	int news[2];

	job = parse_job(argc, argv);
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files))
			die("RLIMIT_NOFILE");
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	counts = mmap(NULL, sizeof(*counts) * WORKERS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || pipe2(news, O_CLOEXEC))
		die("cannot share counts");
	if (job->is_server)
		open_listeners();
	start_workers(news[1]);
	close(news[1]);
	for (int i = 0; i < job->server.listener_count; i++)
		if (job->server.listeners[i].mode != MODE_STUCK)
			close(job->server.listeners[i].fd);
	relay(news[0], signalfd(-1, &stop, SFD_CLOEXEC));
	if (await_workers()) {
		fprintf(stderr, "workload: a worker ended badly, the counts are not complete\n");
		return 1;
	}
	print_counts("end", counts, job->workers);
	return 0;
}
