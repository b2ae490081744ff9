/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the torture interpreter share: puppets, replies, calls.
 *
 * torture.c runs one program in a net namespace of its own and relays each line to a puppet, a process in a cgroup
 * of its own (torture-puppet.c). What a puppet can do is in torture-calls.c, by name, and beside it: torture-options.c,
 * torture-open.c, torture-move.c, torture-hands.c and, for what few applications do, torture-tricks.c. torture-wire.c
 * listens to the loopback device. Nothing here judges: every line is answered by what the kernel said.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SLOTS 64
#define WORDS 32
#define LINE_BYTES 1024
#define REPLY_BYTES 16384

/* One line of a program, cut into words. */
struct line {
	int count;
	char *words[WORDS];
};

/* What a call answers, as text: printed by say(), sent as one message. */
struct reply {
	size_t length;
	char text[REPLY_BYTES];
};

/* A puppet's own state: its file descriptors by slot, -1 where there is none. */
struct puppet {
	int fds[SLOTS];
	int passing[2]; /* a pair of Unix sockets that all puppets share: SCM_RIGHTS */
	char name;
	const char *cgroups; /* the directory above all puppets' cgroups */
	int children;        /* forked by `fork`, each with all slots of that moment */
	int child_pipe[8];
};

void say(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_ends(struct reply *reply, int fd);
void say_info(struct reply *reply, int fd);

uint64_t boot_ns(void);
uint64_t realtime_ns(void);

/* The word, or `otherwise` where the line has none. */
const char *word(const struct line *line, int i, const char *otherwise);
int number(const struct line *line, int i, int otherwise);

socklen_t address(const char *text, int port, struct sockaddr_storage *to);

/* @return the call's result with errno set, or -2: there is no such call */
int call(struct puppet *puppet, const struct line *line, struct reply *reply);
int trick(struct puppet *puppet, const struct line *line, struct reply *reply);
int close_slot(struct puppet *puppet, int slot, struct reply *reply);

int *slot_of(struct puppet *puppet, int slot);
int put(struct puppet *puppet, int slot, int fd);
int set_options(int fd, const struct line *line, int first);
bool is_ready(int fd, short events, int timeout_ms);

int make_socket(struct puppet *puppet, const struct line *line);
int connect_slot(int fd, const struct line *line, struct reply *reply);
int finish(int fd, const struct line *line, struct reply *reply);
int accept_slot(struct puppet *puppet, int fd, const struct line *line, struct reply *reply);
int send_fast(int fd, const struct line *line, struct reply *reply);

int send_slot(int fd, const struct line *line);
int recv_slot(int fd, const struct line *line, struct reply *reply);
int settle(int fd, const struct line *line, struct reply *reply);

int give(struct puppet *puppet, int fd);
int take(struct puppet *puppet, int slot);
int fork_child(struct puppet *puppet);
int reap(struct puppet *puppet);
int move(struct puppet *puppet, const char *name);

/* Runs a puppet's commands from `channel` until it is closed; never returns. */
void puppet_run(struct puppet *puppet, int channel) __attribute__((noreturn));

/* Destroys one connection, or with ports 0 all in this net namespace, as `ss -K`. @return how many */
int destroy(int local, int remote);

int wire_open(void);
void wire_print(int wire);

/*
 * What is open in this net namespace, as `ss` shows it, and its books; for the barrier at that line.
 *
 * @param cgroups the directory above all puppets' cgroups
 */
void look_print(const char *cgroups, int line);
/* The kernel's books of this net namespace, as `nstat` reads them. */
void books_print(void);

#endif
