/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire: every TCP segment that the loopback device delivered, before any INPUT rule saw it.
 *
 * What the local stack refused to send (an OUTPUT rule) is not on the wire, what an INPUT rule drops is. One line
 * for each packet: `wire TIME FROM FPORT TO TPORT FLAGS SEQ ACK PAYLOAD TTL SEGMENTS`, TIME as CLOCK_REALTIME. The
 * loopback device takes several segments in one packet (GSO); the socket's PACKET_VNET_HDR tells how many.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "torture.h"

#define KEPT_BYTES 176
#define BUFFER (256 << 20)

int wire_open(void)
{
	struct sock_filter all[] = { { BPF_RET | BPF_K, 0, 0, KEPT_BYTES } };
	struct sock_fprog program = { 1, all };
	int size = BUFFER, on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
		return -1;
	return fd;
}

/* @param gso_size payload of each segment of the packet but the last; 0: it is one segment */
static void print_segment(const uint8_t *packet, size_t kept, size_t gso_size, uint64_t time)
{
	const struct ip *v4 = (const void *)packet;
	const struct ip6_hdr *v6 = (const void *)packet;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	const struct tcphdr *tcp;
	size_t header, length, payload;
	int ttl;

	if (v4->ip_v == 4 && v4->ip_p == IPPROTO_TCP) {
		header = v4->ip_hl * 4;
		length = ntohs(v4->ip_len);
		ttl = v4->ip_ttl;
		inet_ntop(AF_INET, &v4->ip_src, from, sizeof(from));
		inet_ntop(AF_INET, &v4->ip_dst, to, sizeof(to));
	} else if (v4->ip_v == 6 && v6->ip6_nxt == IPPROTO_TCP) {
		header = sizeof(*v6);
		length = header + ntohs(v6->ip6_plen);
		ttl = v6->ip6_hlim;
		inet_ntop(AF_INET6, &v6->ip6_src, from, sizeof(from));
		inet_ntop(AF_INET6, &v6->ip6_dst, to, sizeof(to));
	} else {
		return;
	}
	tcp = (const void *)(packet + header);
	if (kept < header + sizeof(*tcp))
		return;
	payload = length - header - tcp->doff * 4;
	printf("wire %lu %s %u %s %u %s%s%s%s. %u %u %zu %d %zu\n", time, from, ntohs(tcp->source), to,
	       ntohs(tcp->dest), tcp->syn ? "S" : "", tcp->fin ? "F" : "", tcp->rst ? "R" : "", tcp->ack ? "A" : "",
	       ntohl(tcp->seq), ntohl(tcp->ack_seq), payload, ttl, gso_size ? (payload + gso_size - 1) / gso_size : 1);
}

void wire_print(int wire)
{
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof(stats);
	struct {
		struct virtio_net_hdr gso;
		uint8_t bytes[KEPT_BYTES];
	} __attribute__((packed)) packet;
	const size_t before = sizeof(packet.gso) + ETH_HLEN;
	char control[256];

	for (;;) {
		struct iovec iov = { &packet, sizeof(packet) };
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
		};
		ssize_t length = recvmsg(wire, &message, MSG_DONTWAIT);
		struct cmsghdr *c = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
		struct timespec time = { 0 };

		if (length < 0)
			break;
		if ((size_t)length < before)
			continue;
		if (c && c->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&time, CMSG_DATA(c), sizeof(time));
		print_segment(packet.bytes + ETH_HLEN, length - before, packet.gso.gso_type ? packet.gso.gso_size : 0,
			      time.tv_sec * 1000000000ULL + time.tv_nsec);
	}
	getsockopt(wire, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
	printf("missed %u\n", stats.tp_drops);
}
