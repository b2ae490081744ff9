/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resets of closed sockets whose locks stay taken: as many as asked, then as many that the kernel itself sends.
 *
 *     held PORT ABORTED REFUSED        both ends on 127.0.0.1; the port's clients are these sockets
 *
 * Each client is shut down both ways with data unread. `ABORTED` of them get a RST of their server, and a thread then
 * reads the data into a page that nobody brings (userfaultfd): the kernel keeps the socket's lock for as long as that
 * waits. Says `aborted`, and waits for a line. `REFUSED` more get data, which the kernel answers with a RST
 * (TCPAbortOnData). Says `refused`, and waits for the end of its input; then the threads' pages come, and it ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BYTES 211
#define HELD_MAX 1024
#define WAIT_MS 10000
/* As the kernel numbers them. */
#define FIN_WAIT2 5
#define CLOSED 7

static struct held {
	pthread_t thread;
	int socket;
	char *page;
} held[HELD_MAX];

static char data[BYTES];

static void die(const char *what)
{
	fprintf(stderr, "held: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int state_of(int fd)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		die("TCP_INFO");
	return info.tcpi_state;
}

static void until_state(int fd, int state)
{
	struct timespec a_moment = { .tv_nsec = 1000000 };
	int tried;

	for (tried = 0; state_of(fd) != state; tried++) {
		if (tried == WAIT_MS) {
			errno = ETIMEDOUT;
			die("a state");
		}
		nanosleep(&a_moment, NULL);
	}
}

static int start_listener(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 8))
		die("listen");
	return listener;
}

/* @return a client that is shut down both ways, with data unread; its server is in `server` */
static int make_shut_down(int listener, int *server)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (client < 0 || getsockname(listener, (struct sockaddr *)&at, &size) ||
	    connect(client, (struct sockaddr *)&at, sizeof(at)))
		die("connect");
	*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*server < 0 || send(*server, data, BYTES, 0) != BYTES)
		die("accept");
	if (recv(client, data, BYTES, MSG_PEEK | MSG_WAITALL) != BYTES || shutdown(client, SHUT_RDWR))
		die("shutdown");
	until_state(client, FIN_WAIT2);
	return client;
}

static void *read_into_nothing(void *of)
{
	struct held *h = of;

	if (recv(h->socket, h->page, BYTES, 0) != BYTES)
		die("recv");
	return NULL;
}

static int open_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (faults < 0 || ioctl(faults, UFFDIO_API, &api))
		die("userfaultfd");
	return faults;
}

/* A thread reads, and waits for its page with the socket's lock taken, when this returns. */
static void hold(struct held *h, int faults)
{
	size_t size = sysconf(_SC_PAGESIZE);
	struct uffdio_register page = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg fault;

	h->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h->page == MAP_FAILED)
		die("mmap");
	page.range.start = (unsigned long)h->page;
	page.range.len = size;
	if (ioctl(faults, UFFDIO_REGISTER, &page))
		die("UFFDIO_REGISTER");
	errno = pthread_create(&h->thread, NULL, read_into_nothing, h);
	if (errno || read(faults, &fault, sizeof(fault)) != sizeof(fault))
		die("a thread that waits for its page");
}

static void abort_one(int listener, int faults, struct held *h)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	int server;

	h->socket = make_shut_down(listener, &server);
	if (setsockopt(server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) || close(server))
		die("abort");
	until_state(h->socket, CLOSED);
	hold(h, faults);
}

static void refuse_one(int listener)
{
	int server, client = make_shut_down(listener, &server);

	if (send(server, data, BYTES, MSG_NOSIGNAL) != BYTES)
		die("send");
	until_state(client, CLOSED);
	close(client);
	close(server);
}

/* Tells, and waits for a line or the end of the input. */
static void tell(const char *what)
{
	char line[8];

	printf("%s\n", what);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die("stdin");
}

int main(int argc, char **argv)
{
	int listener, faults, aborted, refused, i;

	if (argc != 4 || atoi(argv[2]) > HELD_MAX) {
		fprintf(stderr, "usage: held PORT ABORTED REFUSED\n");
		return 2;
	}
	listener = start_listener(atoi(argv[1]));
	faults = open_faults();
	aborted = atoi(argv[2]);
	refused = atoi(argv[3]);
	for (i = 0; i < aborted; i++)
		abort_one(listener, faults, &held[i]);
	tell("aborted");
	for (i = 0; i < refused; i++)
		refuse_one(listener);
	tell("refused");
	close(faults); /* the kernel then brings the pages by itself */
	for (i = 0; i < aborted; i++)
		pthread_join(held[i].thread, NULL);
	return 0;
}
