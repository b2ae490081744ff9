/* SPDX-License-Identifier: Apache-2.0 */
/* What the three files of `calls` share: the numbered sockets, and calls on them. A call returns -1 with errno, as the system's do. */
#ifndef CALLS_H
#define CALLS_H

#include <netinet/in.h>

#define SOCKETS 256

/* -1: none yet, or closed. */
extern int sockets[SOCKETS];

void die(const char *what);
/* That port of 127.0.0.1. */
struct sockaddr_in at(int port);
/* The socket of that number, made where there is none yet. */
int own(int s);
int set(int s, int level, int name, int value);

int do_send(int s, int bytes);
int do_close(int s, int unused);

/* calls-wait.c */
int do_state(int s, int state);
int do_drained(int s, int unused);
/* Until so much lies in the receive queue. */
int do_unread(int s, int bytes);
/* Until no socket of the namespace is in that state, not even one that belongs to no process any more. */
int do_none(int unused, int state);

/* calls-repair.c */
int do_save(int s, int unused);
int do_restore(int s, int unacked);

#endif
