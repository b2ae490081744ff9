/*
 * Packets that a kernel will drop, in a number that is known.
 *
 *   datagrams send ADDRESS PORT COUNT        UDP datagrams of one byte to an IPv4 address
 *   datagrams hold PORT                      a UDP socket with the smallest buffer that nobody reads; "ready" when it is bound
 *   datagrams badtcp ADDRESS PORT COUNT      SYNs over IPv4 with a checksum that is wrong; needs root
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "datagrams: %s: %s\n", what, strerror(errno));
	return 1;
}

static struct sockaddr_in address_of(const char *text, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
		fprintf(stderr, "datagrams: %s is no IPv4 address\n", text);
		exit(2);
	}
	return address;
}

/* A packet that a rule of OUTPUT drops comes back as EPERM, one that ICMP answered as ECONNREFUSED or EHOSTUNREACH. */
static int is_answer(int error)
{
	return error == EPERM || error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
}

static int send_all(int fd, const struct sockaddr_in *to, const void *bytes, size_t length, int count)
{
	for (int i = 0; i < count; i++) {
		if (sendto(fd, bytes, length, 0, (const struct sockaddr *)to, sizeof(*to)) < 0 && !is_answer(errno))
			return fail("sendto");
	}
	return 0;
}

static int hold(const char *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), smallest = 1;
	struct sockaddr_in at = address_of("0.0.0.0", port);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fail("bind");
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}

static int bad_tcp(const char *address, const char *port, int count)
{
	struct sockaddr_in to = address_of(address, port), raw = to;
	struct tcphdr header = { .source = htons(40000), .dest = to.sin_port, .doff = 5, .syn = 1, .check = 0xdead };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);

	if (fd < 0)
		return fail("socket");
	raw.sin_port = 0;
	return send_all(fd, &raw, &header, sizeof(header), count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2]);
	if (argc == 5 && strcmp(argv[1], "badtcp") == 0)
		return bad_tcp(argv[2], argv[3], atoi(argv[4]));
	if (argc == 5 && strcmp(argv[1], "send") == 0) {
		struct sockaddr_in to = address_of(argv[2], argv[3]);
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		return fd < 0 ? fail("socket") : send_all(fd, &to, "x", 1, atoi(argv[4]));
	}
	fprintf(stderr, "usage: datagrams send|badtcp ADDRESS PORT COUNT, datagrams hold PORT\n");
	return 2;
}
