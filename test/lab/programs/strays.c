/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets where nobody looks for them: what the workload's plain clients and servers cannot play.
 *
 *   strays thread FILE PORT FIRST SECOND   a process whose first thread makes FIRST connections with itself in its own
 *                                          net namespace, and a second thread SECOND in that of FILE
 *   strays gone PORT COUNT BACKLOG         both ends of connections whose listener is closed already
 *   strays flight ADDRESS PORT COUNT       connections whose only reference is a message on its way (SCM_RIGHTS)
 *   strays heirs MILLISECONDS              a process that ends after a millisecond, when its child lives, and so on
 *
 * Prints one word a line when it has come so far: `done`, `ready`. All begin, or go on, with a first
 * line and end with their standard input. `gone` and `flight` (when it has the sockets back) then send 101 bytes each.
 * `heirs` prints nothing, and ends after its milliseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT_MAX 64
#define PAYLOAD 101

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void tell(const char *word)
{
	if (puts(word) < 0 || fflush(stdout))
		die("stdout");
}

/* Until a line, or the end of standard input. */
static void await_input(void)
{
	char line[64];

	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die("stdin");
}

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		die(text);
	return address;
}

static int connected_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		die("connect");
	return fd;
}

/* `count` connections over loopback, one after the other, both ends here; each moves PAYLOAD bytes. */
static void talk(int port, int count)
{
	struct sockaddr_in address = address_of("127.0.0.1", port);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	char bytes[PAYLOAD];

	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		die("listen");
	memset(bytes, 'x', sizeof(bytes));
	while (count-- > 0) {
		int client = connected_to(&address), server = accept(listener, NULL, NULL);

		if (write(client, bytes, PAYLOAD) != PAYLOAD || read(server, bytes, PAYLOAD) != PAYLOAD)
			die("talk");
		close(client);
		if (read(server, bytes, 1) != 0)
			die("end");
		close(server);
	}
	close(listener);
}

struct second {
	const char *file;
	int port, count;
	pthread_barrier_t began, ended;
};

static void *second_thread(void *context)
{
	struct second *second = context;
	int fd = open(second->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(second->file);
	tell("ready");
	await_input();
	pthread_barrier_wait(&second->began);
	talk(second->port, second->count);
	pthread_barrier_wait(&second->ended);
	pthread_barrier_wait(&second->ended); /* it lives in its namespace until then */
	return NULL;
}

/* Begins on a first line, when somebody watches. */
static void play_thread(char **argv)
{
	struct second second = { .file = argv[0], .port = atoi(argv[1]), .count = atoi(argv[3]) };
	pthread_t thread;

	if (pthread_barrier_init(&second.began, NULL, 2) || pthread_barrier_init(&second.ended, NULL, 2) ||
	    pthread_create(&thread, NULL, second_thread, &second))
		die("pthread_create");
	pthread_barrier_wait(&second.began);
	talk(second.port, atoi(argv[2]));
	pthread_barrier_wait(&second.ended);
	tell("done");
	await_input();
	pthread_barrier_wait(&second.ended);
	pthread_join(thread, NULL);
}

static void play_gone(char **argv)
{
	struct sockaddr_in address = address_of("127.0.0.1", atoi(argv[0]));
	int count = atoi(argv[1]), listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	int clients[COUNT_MAX], servers[COUNT_MAX];
	char bytes[PAYLOAD];

	if (count < 1 || count > COUNT_MAX || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, atoi(argv[2])))
		die("listen");
	for (int i = 0; i < count; i++) {
		clients[i] = connected_to(&address);
		servers[i] = accept(listener, NULL, NULL);
	}
	close(listener);
	tell("ready");
	await_input();
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < count; i++)
		if (write(clients[i], bytes, PAYLOAD) != PAYLOAD || read(servers[i], bytes, PAYLOAD) != PAYLOAD)
			die("talk");
	tell("done");
	await_input();
}

static void play_flight(char **argv)
{
	struct sockaddr_in address = address_of(argv[0], atoi(argv[1]));
	int count = atoi(argv[2]), pair[2], fds[COUNT_MAX];
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control;
	char byte = 'x', bytes[PAYLOAD];
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes };
	struct cmsghdr *header;

	if (count < 1 || count > COUNT_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	for (int i = 0; i < count; i++)
		fds[i] = connected_to(&address);
	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	if (sendmsg(pair[0], &message, 0) != 1)
		die("sendmsg");
	for (int i = 0; i < count; i++)
		close(fds[i]);
	tell("ready");
	await_input();
	message.msg_controllen = sizeof(control.bytes);
	if (recvmsg(pair[1], &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		die("recvmsg");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), count * sizeof(int));
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < count; i++)
		if (write(fds[i], bytes, PAYLOAD) != PAYLOAD)
			die("write");
	tell("done");
	await_input();
}

/* Each ends only when the next one has begun: there is always one. */
static void play_heirs(long milliseconds)
{
	for (; milliseconds > 0; milliseconds--) {
		pid_t heir = fork();

		if (heir < 0)
			die("fork");
		if (heir > 0)
			_exit(0);
		usleep(1000);
	}
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "thread"))
		play_thread(argv + 2);
	else if (argc == 5 && !strcmp(argv[1], "gone"))
		play_gone(argv + 2);
	else if (argc == 5 && !strcmp(argv[1], "flight"))
		play_flight(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "heirs"))
		play_heirs(atol(argv[2]));
	else
		die("strays: see the opening comment of strays.c");
	return 0;
}
