/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint and restore of a connection by TCP_REPAIR, as CRIU does it. */
#define _GNU_SOURCE
#include "calls.h"

#include <linux/tcp.h>
#include <sys/socket.h>

/* What TCP_REPAIR saved of a socket. */
static struct saved {
	struct sockaddr_in local, peer;
	unsigned int sequence[3];
} saved[SOCKETS];

/* As a checkpoint does: what is needed is read in repair mode, and the socket closed in silence. */
int do_save(int s, __attribute__((unused)) int unused)
{
	struct saved *to = &saved[s];
	socklen_t size = sizeof(to->local);
	int queue;

	if (set(s, IPPROTO_TCP, TCP_REPAIR, 1))
		return -1;
	for (queue = TCP_RECV_QUEUE; queue <= TCP_SEND_QUEUE; queue++) {
		socklen_t word = sizeof(int);

		if (set(s, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue) ||
		    getsockopt(sockets[s], IPPROTO_TCP, TCP_QUEUE_SEQ, &to->sequence[queue], &word))
			return -1;
	}
	if (getsockname(sockets[s], (struct sockaddr *)&to->local, &size) ||
	    getpeername(sockets[s], (struct sockaddr *)&to->peer, &size))
		return -1;
	return do_close(s, 0);
}

/* @param unacked bytes that the socket before had sent last and the peer had not acknowledged */
int do_restore(int s, int unacked)
{
	struct saved *from = &saved[s];
	int queue;

	if (set(s, IPPROTO_TCP, TCP_REPAIR, 1))
		return -1;
	from->sequence[TCP_SEND_QUEUE] -= unacked;
	for (queue = TCP_RECV_QUEUE; queue <= TCP_SEND_QUEUE; queue++)
		if (set(s, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue) ||
		    set(s, IPPROTO_TCP, TCP_QUEUE_SEQ, from->sequence[queue]))
			return -1;
	if (bind(own(s), (struct sockaddr *)&from->local, sizeof(from->local)) ||
	    connect(sockets[s], (struct sockaddr *)&from->peer, sizeof(from->peer)))
		return -1;
	if (unacked && (set(s, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) || do_send(s, unacked)))
		return -1;
	return set(s, IPPROTO_TCP, TCP_REPAIR, 0);
}
