/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link with a travel time: delay NETNS-FILE-A NAME-A NETNS-FILE-B NAME-B MILLISECONDS
 *
 * Makes one TUN device in each namespace; what enters one leaves the other MILLISECONDS later, in order.
 * The kernels we test on have no `tc netem`. Routes are the caller's part; the devices vanish with the
 * process. The queue is bounded: what does not fit is dropped and counted, and the count printed at the end.
 * Commands on stdin: a number sets a new delay for packets to come; end of file ends the relay.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 2048
#define QUEUE_PACKETS 8192 /* 16 MB a direction: 1 Gbit/s for 90 ms */

struct packet {
	uint64_t due_ns;
	uint16_t length;
	char bytes[PACKET_MAX];
};

/* What waits to leave one device; a ring, oldest at head. */
struct queue {
	struct packet *packets;
	uint32_t head;
	uint32_t count;
	uint64_t carried;
	uint64_t dropped;
};

static uint64_t delay_ns;

static void die(const char *what, const char *name)
{
	fprintf(stderr, "delay: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The device belongs to the namespace that its file was opened in. */
static int open_tun(const char *netns, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int ns = open(netns, O_RDONLY | O_CLOEXEC);
	int fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		die("cannot enter", netns);
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("cannot open", "/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request))
		die("cannot make device", name);
	return fd;
}

static void take_packets(int from, struct queue *queue)
{
	char overflow[PACKET_MAX];
	struct packet *packet;
	ssize_t length;
	char *into;

	for (;;) {
		packet = &queue->packets[(queue->head + queue->count) % QUEUE_PACKETS];
		into = queue->count < QUEUE_PACKETS ? packet->bytes : overflow;
		length = read(from, into, PACKET_MAX);
		if (length <= 0)
			return;
		if (into == overflow) {
			queue->dropped++;
			continue;
		}
		packet->length = length;
		packet->due_ns = now_ns() + delay_ns;
		queue->count++;
	}
}

static void deliver_packets(int to, struct queue *queue, uint64_t now)
{
	while (queue->count && queue->packets[queue->head].due_ns <= now) {
		struct packet *packet = &queue->packets[queue->head];

		if (write(to, packet->bytes, packet->length) == packet->length)
			queue->carried++;
		else
			queue->dropped++;
		queue->head = (queue->head + 1) % QUEUE_PACKETS;
		queue->count--;
	}
}

/* How long to sleep until the first packet of either queue is due; NULL means until something comes. */
static struct timespec *until_due(const struct queue queues[2], struct timespec *wait)
{
	uint64_t due = UINT64_MAX, now = now_ns();

	for (int i = 0; i < 2; i++)
		if (queues[i].count && queues[i].packets[queues[i].head].due_ns < due)
			due = queues[i].packets[queues[i].head].due_ns;
	if (due == UINT64_MAX)
		return NULL;
	due = due > now ? due - now : 0;
	wait->tv_sec = due / 1000000000;
	wait->tv_nsec = due % 1000000000;
	return wait;
}

/* Returns 0 at end of file. */
static int obey(void)
{
	char line[32];
	ssize_t length = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (length <= 0)
		return 0;
	line[length] = 0;
	delay_ns = strtod(line, NULL) * 1e6;
	return 1;
}

int main(int argc, char **argv)
{
	struct queue queues[2] = {};
	struct pollfd polls[3] = { { .events = POLLIN },
				   { .events = POLLIN },
				   { .fd = STDIN_FILENO, .events = POLLIN } };
	struct timespec wait;

	if (argc != 6) {
		fprintf(stderr, "usage: delay NETNS-FILE-A NAME-A NETNS-FILE-B NAME-B MILLISECONDS\n");
		return 2;
	}
	delay_ns = strtod(argv[5], NULL) * 1e6;
	for (int i = 0; i < 2; i++) {
		polls[i].fd = open_tun(argv[1 + 2 * i], argv[2 + 2 * i]);
		queues[i].packets = calloc(QUEUE_PACKETS, sizeof(struct packet));
		if (!queues[i].packets)
			die("no memory for", "the queue");
	}
	puts("{\"event\":\"ready\"}");
	fflush(stdout);
	for (;;) {
		if (ppoll(polls, 3, until_due(queues, &wait), NULL) < 0 && errno != EINTR)
			die("cannot wait for", "packets");
		for (int i = 0; i < 2; i++) {
			if (polls[i].revents & POLLIN)
				take_packets(polls[i].fd, &queues[i]);
			deliver_packets(polls[!i].fd, &queues[i], now_ns());
		}
		if (polls[2].revents && !obey())
			break;
	}
	printf("{\"event\":\"end\",\"carried\":%lu,\"dropped\":%lu}\n", queues[0].carried + queues[1].carried,
	       queues[0].dropped + queues[1].dropped);
	return 0;
}
