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

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

/* With RLIMIT_NOFILE at 20,000, which is what a machine without CAP_SYS_RESOURCE may have. */
#define CONNECTIONS_PER_WORKER 15000

static struct client_options client = { .rounds = 1, .upload = sizeof(struct request) };
static struct server_options server;
static uint32_t workers;
static int is_server, ends_by_itself;
static struct counts *counts;
static int command_pipes[WORKERS_MAX];

static void usage(const char *wrong)
{
	fprintf(stderr, "workload: cannot understand %s; see the opening comment of workload.c\n", wrong);
	exit(2);
}

/* "ADDRESS,PORT" or "ADDRESS". */
static struct endpoint parse_endpoint(char *text)
{
	struct endpoint endpoint = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&endpoint.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&endpoint.address;
	char *comma = strchr(text, ',');
	uint16_t port = comma ? htons(atoi(comma + 1)) : 0;

	if (comma)
		*comma = 0;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		endpoint.length = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		endpoint.length = sizeof(*v6);
	} else {
		usage(text);
	}
	return endpoint;
}

/*
 * "MODE,ADDRESS,PORT[,BACKLOG[,BYTES]]"; `::` takes IPv4 too, `v6only:MODE,...` does not. `mptcp:MODE,...` is how Go's
 * servers listen, `reuseport:MODE,...` how several listen side by side.
 */
static void parse_listener(char *text)
{
	static const char *const modes[] = { "request", "sink", "echo", "reset", "stuck" };
	struct listener *listener = &server.listeners[server.listener_count++];
	char mode[32], address[64];
	int port;

	listener->v6only = !strncmp(text, "v6only:", 7);
	listener->protocol = strncmp(text, "mptcp:", 6) ? 0 : IPPROTO_MPTCP;
	listener->reuseport = !strncmp(text, "reuseport:", 10);
	text += listener->v6only ? 7 : listener->protocol ? 6 : listener->reuseport ? 10 : 0;
	listener->backlog = 4096;
	if (server.listener_count > ENDPOINTS_MAX || sscanf(text, "%31[^,],%60[^,],%d,%d,%lu", mode, address, &port,
							    &listener->backlog, &listener->reset_after) < 3)
		usage(text);
	snprintf(address + strlen(address), sizeof(address) - strlen(address), ",%d", port);
	listener->at = parse_endpoint(address);
	for (int i = 0; i < 5; i++)
		if (!strcmp(mode, modes[i])) {
			listener->mode = i;
			return;
		}
	usage(text);
}

static void parse_closer(const char *text)
{
	static const char *const closers[] = { "client", "client-fast", "server", "reset" };

	for (int i = 0; i < 4; i++)
		if (!strcmp(text, closers[i])) {
			client.closer = i;
			return;
		}
	usage(text);
}

static void add_endpoint(struct endpoint *list, int *count, char *text)
{
	if (*count == ENDPOINTS_MAX)
		usage("so many addresses");
	list[(*count)++] = parse_endpoint(text);
}

enum option_id {
	LISTEN,
	TO,
	FROM,
	COUNT,
	PARALLEL,
	WORKERS,
	UPLOAD,
	UPLOAD_STEP,
	DOWNLOAD,
	DOWNLOAD_STEP,
	ROUNDS,
	PACE,
	EVERY,
	CANCEL,
	CLOSER,
	SYN_RETRIES,
	USER_TIMEOUT,
	MPTCP,
};

static const struct option option_names[] = {
	{ "listen", 1, NULL, LISTEN },
	{ "to", 1, NULL, TO },
	{ "from", 1, NULL, FROM },
	{ "count", 1, NULL, COUNT },
	{ "parallel", 1, NULL, PARALLEL },
	{ "workers", 1, NULL, WORKERS },
	{ "upload", 1, NULL, UPLOAD },
	{ "upload-step", 1, NULL, UPLOAD_STEP },
	{ "download", 1, NULL, DOWNLOAD },
	{ "download-step", 1, NULL, DOWNLOAD_STEP },
	{ "rounds", 1, NULL, ROUNDS },
	{ "pace-ms", 1, NULL, PACE },
	{ "every-ms", 1, NULL, EVERY },
	{ "cancel-ms", 1, NULL, CANCEL },
	{ "closer", 1, NULL, CLOSER },
	{ "syn-retries", 1, NULL, SYN_RETRIES },
	{ "user-timeout-ms", 1, NULL, USER_TIMEOUT },
	{ "mptcp", 1, NULL, MPTCP },
	{ NULL, 0, NULL, 0 },
};

static void parse_option(enum option_id id, char *value)
{
	switch (id) {
	case LISTEN:
		parse_listener(value);
		break;
	case TO:
		add_endpoint(client.to, &client.to_count, value);
		break;
	case FROM:
		add_endpoint(client.from, &client.from_count, value);
		break;
	case COUNT:
		client.count = strtoull(value, NULL, 10);
		break;
	case PARALLEL:
		client.parallel = strtoull(value, NULL, 10);
		break;
	case WORKERS:
		workers = strtoul(value, NULL, 10);
		break;
	case UPLOAD:
		client.upload = strtoull(value, NULL, 10);
		break;
	case UPLOAD_STEP:
		client.upload_step = strtoull(value, NULL, 10);
		break;
	case DOWNLOAD:
		client.download = strtoull(value, NULL, 10);
		break;
	case DOWNLOAD_STEP:
		client.download_step = strtoull(value, NULL, 10);
		break;
	case ROUNDS:
		client.rounds = strtoull(value, NULL, 10);
		break;
	case PACE:
		client.pace_us = strtod(value, NULL) * 1000;
		break;
	case EVERY:
		client.every_us = strtod(value, NULL) * 1000;
		break;
	case CANCEL:
		client.cancel_us = strtod(value, NULL) * 1000;
		break;
	case CLOSER:
		parse_closer(value);
		break;
	case SYN_RETRIES:
		client.syn_retries = atoi(value);
		break;
	case USER_TIMEOUT:
		client.user_timeout_ms = atoi(value);
		break;
	case MPTCP:
		client.protocol = atoi(value) ? IPPROTO_MPTCP : 0;
		break;
	}
}

static void parse(int argc, char **argv)
{
	const char *job = argc > 1 ? argv[1] : "";
	uint64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
	int id;

	client.count = 1;
	client.closer = !strcmp(job, "churn") ? CLOSER_SERVER : CLOSER_CLIENT;
	client.hold = !strcmp(job, "hold");
	client.rounds = !client.hold;
	client.syn_retries = !strcmp(job, "fail");
	is_server = !strcmp(job, "serve");
	if (!is_server && !client.hold && strcmp(job, "send") && strcmp(job, "churn") && strcmp(job, "fail"))
		usage(*job ? job : "no job");
	optind = 2;
	while ((id = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
		if (id == '?')
			exit(2);
		parse_option(id, optarg);
	}
	if (is_server ? !server.listener_count : !client.to_count)
		usage("a job without --listen or --to");
	if (!client.parallel)
		client.parallel = client.hold || !strcmp(job, "fail") ? client.count : !strcmp(job, "churn") ? 64 : 1;
	if (!workers)
		workers = is_server || !strcmp(job, "churn") ? cores : 1;
	if (client.parallel > CONNECTIONS_PER_WORKER * workers)
		workers = (client.parallel + CONNECTIONS_PER_WORKER - 1) / CONNECTIONS_PER_WORKER;
	if (workers > WORKERS_MAX)
		usage("so many workers");
	ends_by_itself = !is_server && !client.hold && client.count;
}

static void open_listeners(void)
{
	for (int i = 0; i < server.listener_count; i++) {
		struct listener *listener = &server.listeners[i];
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
	struct worker self = { index, workers, commands, news, &counts[index] };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		exit(1);
	if (is_server) {
		run_server(&server, &self);
	} else {
		client.parallel = (client.parallel + workers - 1) / workers;
		if (client.count) {
			client.count = (client.count + workers - 1 - index) / workers;
			if (!client.count)
				exit(0);
		}
		run_client(&client, &self);
	}
	exit(0);
}

static void start_workers(int news)
{
	for (uint32_t i = 0; i < workers; i++) {
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
	for (uint32_t i = 0; i < workers; i++)
		if (dprintf(command_pipes[i], "%s\n", line) < 0 && errno != EPIPE)
			die("cannot command a worker");
}

static void obey_line(const char *line)
{
	if (!strcmp(line, "stats"))
		print_counts("stats", counts, workers);
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
			if (got < 0 && !ends_by_itself)
				command_workers("close");
		}
		if (!polls[0].revents)
			continue;
		if (read(news, &byte, 1) != 1)
			return;
		if (byte == NEWS_READY && ++ready == workers)
			print_counts("ready", counts, workers);
		if (byte == NEWS_ROUND_DONE && ++done % workers == 0)
			print_counts("done", counts, workers);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	sigset_t stop;
	int news[2];

	parse(argc, argv);
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
	if (is_server)
		open_listeners();
	start_workers(news[1]);
	close(news[1]);
	for (int i = 0; i < server.listener_count; i++)
		if (server.listeners[i].mode != MODE_STUCK)
			close(server.listeners[i].fd);
	relay(news[0], signalfd(-1, &stop, SFD_CLOEXEC));
	if (await_workers()) {
		fprintf(stderr, "workload: a worker ended badly, the counts are not complete\n");
		return 1;
	}
	print_counts("end", counts, workers);
	return 0;
}
