/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads initial sequence numbers off the wire, as anyone on the path can: one line for each SYN and SYN-ACK over
 * IPv4 that a device of this net namespace sends or gets,
 *
 *     syn|synack CLIENT_PORT SEQUENCE_NUMBER
 *
 * after a first line `ready`. Needs CAP_NET_RAW. Ends when it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (8 << 20)

static void tell(const unsigned char *packet, ssize_t length)
{
	const struct iphdr *ip = (const struct iphdr *)packet;
	const struct tcphdr *tcp = (const struct tcphdr *)(packet + ip->ihl * 4);

	if (length < (ssize_t)sizeof(*ip) || ip->version != 4 || ip->protocol != IPPROTO_TCP)
		return;
	if (length < (ssize_t)(ip->ihl * 4 + sizeof(*tcp)) || !tcp->syn)
		return;
	printf("%s %u %u\n", tcp->ack ? "synack" : "syn", ntohs(tcp->ack ? tcp->dest : tcp->source), ntohl(tcp->seq));
}

int main(void)
{
	_Alignas(4) unsigned char packet[256];
	int size = BUFFER_BYTES;
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size))) {
		perror("isn");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;) {
		ssize_t length = recv(fd, packet, sizeof(packet), 0);

		if (length < 0) {
			perror("isn: recv");
			return 1;
		}
		tell(packet, length);
	}
}
