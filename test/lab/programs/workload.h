/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the six files of the workload share: options, counts, and what a client asks of a server.
 *
 * workload-options.c reads the command line, workload.c forks workers and relays commands; workload-client.c, which opens
 * connections for workload-connection.c to play, and workload-server.c are one worker each, an epoll loop without locks;
 * workload-counts.c adds the workers' counts up.
 * Every worker counts into its own part of a shared page, so that the parent can say exact counts at any time.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WORKERS_MAX 64
#define ENDPOINTS_MAX 128
#define ERRNOS_MAX 134
#define BUFFER_BYTES (256 * 1024)

/* The first bytes of every round's upload, so it counts as payload: a round is at least this long. */
struct request {
	uint32_t magic;
	uint32_t close_after; /* the server closes once it has answered */
	uint64_t upload;      /* bytes of this round from client to server, this header included */
	uint64_t download;    /* bytes the server answers with */
	uint64_t zero;
};
#define REQUEST_MAGIC 0x776f726b

/* What one worker knows to have happened; read by the parent while it grows. */
struct counts {
	uint64_t opened;    /* connect() succeeded, or accept() returned it */
	uint64_t closed;    /* of those, ended without an error */
	uint64_t cancelled; /* closed by us before an answer came */
	uint64_t retried;   /* no local port was free: tried again later, not a connection */
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t failed[ERRNOS_MAX]; /* never opened, by errno */
	uint64_t broken[ERRNOS_MAX]; /* opened, then ended by an error, by errno; our own reset is [0] */
};

enum closer { CLOSER_CLIENT, CLOSER_CLIENT_FAST, CLOSER_SERVER, CLOSER_RESET };

struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
};

struct client_options {
	struct endpoint to[ENDPOINTS_MAX], from[ENDPOINTS_MAX];
	int to_count, from_count;
	uint64_t count; /* 0: until told to close */
	uint64_t parallel, rounds;
	uint64_t upload, upload_step, download, download_step; /* connection i moves size + i * step */
	uint64_t pace_us, every_us, cancel_us;
	enum closer closer;
	int hold, syn_retries, user_timeout_ms, protocol;
};

enum listener_mode { MODE_REQUEST, MODE_SINK, MODE_ECHO, MODE_RESET, MODE_STUCK };

struct listener {
	struct endpoint at;
	enum listener_mode mode;
	int backlog, fd, v6only, protocol, reuseport;
	uint64_t reset_after;
};

struct server_options {
	struct listener listeners[ENDPOINTS_MAX];
	int listener_count;
};

/* What the command line asks for: a server's job or a client's. */
struct job {
	struct client_options client;
	struct server_options server;
	uint32_t workers;
	int is_server, ends_by_itself;
};

/* One of `workers` forked processes; commands come as lines on `commands`, news goes out as one byte. */
struct worker {
	uint32_t index, workers;
	int commands, news;
	struct counts *counts;
};
#define NEWS_READY 'r'
#define NEWS_ROUND_DONE 'd'

/* Grace for connections in flight after `close`. */
#define CLOSE_GRACE_US 10000000

struct job *parse_job(int argc, char **argv);
void run_client(const struct client_options *options, const struct worker *worker);
void run_server(struct server_options *options, const struct worker *worker);

/* One command line without its newline in `line`; returns 0 when no whole line has come, -1 at the end. */
int read_command(int fd, char *line, int size);
void tell(const struct worker *worker, char news);
uint64_t now_us(void);
void die(const char *what);
/* Closes with a RST instead of a FIN. */
void close_with_reset(int fd);
void print_counts(const char *event, const struct counts *workers, uint32_t count);

#endif
