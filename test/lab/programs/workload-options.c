/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's command line, as workload.c shows it, becomes a job; what cannot be understood ends the process with 2. */
#define _GNU_SOURCE
#include "workload.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With RLIMIT_NOFILE at 20,000, which is what a machine without CAP_SYS_RESOURCE may have. */
#define CONNECTIONS_PER_WORKER 15000

static struct job job = { .client = { .rounds = 1, .upload = sizeof(struct request) } };

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
	struct listener *listener = &job.server.listeners[job.server.listener_count++];
	char mode[32], address[64];
	int port;

	listener->v6only = !strncmp(text, "v6only:", 7);
	listener->protocol = strncmp(text, "mptcp:", 6) ? 0 : IPPROTO_MPTCP;
	listener->reuseport = !strncmp(text, "reuseport:", 10);
	text += listener->v6only ? 7 : listener->protocol ? 6 : listener->reuseport ? 10 : 0;
	listener->backlog = 4096;
	if (job.server.listener_count > ENDPOINTS_MAX || sscanf(text, "%31[^,],%60[^,],%d,%d,%lu", mode, address, &port,
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
			job.client.closer = i;
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
		add_endpoint(job.client.to, &job.client.to_count, value);
		break;
	case FROM:
		add_endpoint(job.client.from, &job.client.from_count, value);
		break;
	case COUNT:
		job.client.count = strtoull(value, NULL, 10);
		break;
	case PARALLEL:
		job.client.parallel = strtoull(value, NULL, 10);
		break;
	case WORKERS:
		job.workers = strtoul(value, NULL, 10);
		break;
	case UPLOAD:
		job.client.upload = strtoull(value, NULL, 10);
		break;
	case UPLOAD_STEP:
		job.client.upload_step = strtoull(value, NULL, 10);
		break;
	case DOWNLOAD:
		job.client.download = strtoull(value, NULL, 10);
		break;
	case DOWNLOAD_STEP:
		job.client.download_step = strtoull(value, NULL, 10);
		break;
	case ROUNDS:
		job.client.rounds = strtoull(value, NULL, 10);
		break;
	case PACE:
		job.client.pace_us = strtod(value, NULL) * 1000;
		break;
	case EVERY:
		job.client.every_us = strtod(value, NULL) * 1000;
		break;
	case CANCEL:
		job.client.cancel_us = strtod(value, NULL) * 1000;
		break;
	case CLOSER:
		parse_closer(value);
		break;
	case SYN_RETRIES:
		job.client.syn_retries = atoi(value);
		break;
	case USER_TIMEOUT:
		job.client.user_timeout_ms = atoi(value);
		break;
	case MPTCP:
		job.client.protocol = atoi(value) ? IPPROTO_MPTCP : 0;
		break;
	}
}

struct job *parse_job(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	uint64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
	int id;

	job.client.count = 1;
	job.client.closer = !strcmp(verb, "churn") ? CLOSER_SERVER : CLOSER_CLIENT;
	job.client.hold = !strcmp(verb, "hold");
	job.client.rounds = !job.client.hold;
	job.client.syn_retries = !strcmp(verb, "fail");
	job.is_server = !strcmp(verb, "serve");
	if (!job.is_server && !job.client.hold && strcmp(verb, "send") && strcmp(verb, "churn") && strcmp(verb, "fail"))
		usage(*verb ? verb : "no job");
	optind = 2;
	while ((id = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
		if (id == '?')
			exit(2);
		parse_option(id, optarg);
	}
	if (job.is_server ? !job.server.listener_count : !job.client.to_count)
		usage("a job without --listen or --to");
	if (!job.client.parallel)
		job.client.parallel = job.client.hold || !strcmp(verb, "fail") ? job.client.count
				      : !strcmp(verb, "churn")                 ? 64
									       : 1;
	if (!job.workers)
		job.workers = job.is_server || !strcmp(verb, "churn") ? cores : 1;
	if (job.client.parallel > CONNECTIONS_PER_WORKER * job.workers)
		job.workers = (job.client.parallel + CONNECTIONS_PER_WORKER - 1) / CONNECTIONS_PER_WORKER;
	if (job.workers > WORKERS_MAX)
		usage("so many workers");
	job.ends_by_itself = !job.is_server && !job.client.hold && job.client.count;
	return &job;
}
