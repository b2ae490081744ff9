/* SPDX-License-Identifier: Apache-2.0 */
/* What few applications do to a connection: checkpoint and restore, a forged RST, `ss -K`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "torture.h"

/* A forged segment's TTL: the wire tells it by that. */
#define FORGED_TTL 99

/* <netinet/tcp.h> has these, and does not go with <linux/tcp.h>. */
enum { ESTABLISHED = 1 };
enum { OPTION_MSS = 2, OPTION_WINDOW = 3, OPTION_SACK_PERMITTED = 4, OPTION_TIMESTAMP = 8 };

/* What of a connection goes on after it was made anew. */
struct frozen {
	struct sockaddr_storage local, remote;
	socklen_t size;
	struct tcp_info info;
	struct tcp_repair_window window;
	unsigned int receive, send, timestamp, mss;
};

static int set(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

static int get(int fd, int option, void *value, socklen_t size)
{
	return getsockopt(fd, IPPROTO_TCP, option, value, &size);
}

static int queue_sequence(int fd, int queue, unsigned int *sequence)
{
	return set(fd, TCP_REPAIR_QUEUE, queue) || get(fd, TCP_QUEUE_SEQ, sequence, sizeof(*sequence));
}

/* Only at rest: what lies in a queue would have to be carried over, too. */
static int freeze(int fd, struct frozen *f)
{
	int unread = 0, unsent = 0;

	f->size = sizeof(f->local);
	if (getsockname(fd, (void *)&f->local, &f->size) || getpeername(fd, (void *)&f->remote, &f->size) ||
	    ioctl(fd, FIONREAD, &unread) || ioctl(fd, SIOCOUTQ, &unsent))
		return -1;
	if (unread || unsent || get(fd, TCP_INFO, &f->info, sizeof(f->info)) || f->info.tcpi_state != ESTABLISHED) {
		errno = EBUSY;
		return -1;
	}
	if (set(fd, TCP_REPAIR, TCP_REPAIR_ON))
		return -1;
	return queue_sequence(fd, TCP_RECV_QUEUE, &f->receive) || queue_sequence(fd, TCP_SEND_QUEUE, &f->send) ||
	       get(fd, TCP_REPAIR_WINDOW, &f->window, sizeof(f->window)) ||
	       get(fd, TCP_TIMESTAMP, &f->timestamp, sizeof(f->timestamp)) ||
	       get(fd, TCP_MAXSEG, &f->mss, sizeof(f->mss));
}

static int thaw(int fd, const struct frozen *f)
{
	struct tcp_repair_opt options[4] = { { OPTION_MSS, f->mss } };
	socklen_t count = 1;
	int on = 1;

	/* Those that both ends have agreed on, and no others: a peer without timestamps sends none. */
	if (f->info.tcpi_options & TCPI_OPT_WSCALE)
		options[count++] = (struct tcp_repair_opt){ OPTION_WINDOW,
							    f->info.tcpi_snd_wscale | f->info.tcpi_rcv_wscale << 16 };
	if (f->info.tcpi_options & TCPI_OPT_SACK)
		options[count++] = (struct tcp_repair_opt){ OPTION_SACK_PERMITTED, 0 };
	if (f->info.tcpi_options & TCPI_OPT_TIMESTAMPS)
		options[count++] = (struct tcp_repair_opt){ OPTION_TIMESTAMP, 0 };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return set(fd, TCP_REPAIR, TCP_REPAIR_ON) || set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) ||
	       set(fd, TCP_QUEUE_SEQ, f->receive) || set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) ||
	       set(fd, TCP_QUEUE_SEQ, f->send) || bind(fd, (void *)&f->local, f->size) ||
	       connect(fd, (void *)&f->remote, f->size) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, count * sizeof(*options)) ||
	       set(fd, TCP_TIMESTAMP, f->timestamp) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &f->window, sizeof(f->window)) ||
	       set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE) || set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
}

/* repair SLOT: as CRIU does it to a connection at rest; it stays in its slot */
static int repair(struct puppet *puppet, int slot, struct reply *reply)
{
	struct frozen f = { 0 };
	int fd = puppet->fds[slot];

	say_info(reply, fd);
	if (freeze(fd, &f))
		return -1;
	close(fd);
	puppet->fds[slot] = socket(f.local.ss_family, SOCK_STREAM, 0);
	return thaw(puppet->fds[slot], &f);
}

static uint16_t checksum(const void *bytes, size_t length)
{
	uint32_t sum = 0;
	uint16_t next;

	for (size_t i = 0; i + 1 < length; i += sizeof(next)) {
		memcpy(&next, (const char *)bytes + i, sizeof(next));
		sum += next;
	}
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

/* rst SLOT: a RST as if from its peer, with the sequence number that is next; IPv4 only */
static int forge(int fd, struct reply *reply)
{
	struct {
		uint32_t from, to;
		uint8_t zero, protocol;
		uint16_t length;
		struct tcphdr tcp;
	} segment = { .protocol = IPPROTO_TCP, .length = htons(sizeof(struct tcphdr)) };
	struct sockaddr_in local = { 0 }, remote = { 0 };
	socklen_t size = sizeof(local);
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet = { .ip = { .version = 4, .ihl = 5, .ttl = FORGED_TTL, .protocol = IPPROTO_TCP } };
	unsigned int next = 0;
	int raw, result;

	if (getsockname(fd, (void *)&local, &size) || getpeername(fd, (void *)&remote, &size))
		return -1;
	if (local.sin_family != AF_INET) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	if (set(fd, TCP_REPAIR, TCP_REPAIR_ON) || queue_sequence(fd, TCP_RECV_QUEUE, &next) ||
	    set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE) || set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP))
		return -1;
	segment.from = packet.ip.saddr = remote.sin_addr.s_addr;
	segment.to = packet.ip.daddr = local.sin_addr.s_addr;
	segment.tcp = (struct tcphdr){
		.source = remote.sin_port, .dest = local.sin_port, .seq = htonl(next), .doff = 5, .rst = 1
	};
	segment.tcp.check = checksum(&segment, sizeof(segment));
	packet.tcp = segment.tcp;
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	result = sendto(raw, &packet, sizeof(packet), 0, (void *)&local, sizeof(local)) == sizeof(packet) ? 0 : -1;
	close(raw);
	say_info(reply, fd);
	return result;
}

int destroy(int local, int remote)
{
	char command[256];
	int count = 0, c;
	FILE *ss;

	if (local)
		snprintf(command, sizeof(command), "ss -HtnK sport = :%d and dport = :%d 2>&1", local, remote);
	else
		snprintf(command, sizeof(command), "ss -HtnK state all 2>&1");
	ss = popen(command, "r");
	if (!ss)
		return -1;
	while ((c = fgetc(ss)) != EOF)
		count += c == '\n';
	pclose(ss);
	return count;
}

static int destroy_slot(int fd, struct reply *reply)
{
	struct sockaddr_in6 local = { 0 }, remote = { 0 };
	socklen_t size = sizeof(local);

	if (getsockname(fd, (void *)&local, &size) || getpeername(fd, (void *)&remote, &size))
		return -1;
	say_info(reply, fd);
	return destroy(ntohs(local.sin6_port), ntohs(remote.sin6_port));
}

int trick(struct puppet *puppet, const struct line *line, struct reply *reply)
{
	int slot = number(line, 1, 0), fd;

	slot = slot >= 0 && slot < SLOTS ? slot : 0;
	fd = puppet->fds[slot];
	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	if (!strcmp(line->words[0], "repair"))
		return repair(puppet, slot, reply);
	if (!strcmp(line->words[0], "rst"))
		return forge(fd, reply);
	if (!strcmp(line->words[0], "kill"))
		return destroy_slot(fd, reply);
	errno = ENOSYS;
	return -1;
}
