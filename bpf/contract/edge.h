/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Edges: what the kernel aggregates by, and what it counts of each. */
#ifndef CONTRACT_EDGE_H
#define CONTRACT_EDGE_H

#include "contract/types.h"

enum edge_role {
	ROLE_CLIENT = 1,   /* this end sent the SYN */
	ROLE_SERVER = 2,   /* this end answered it */
	ROLE_LISTENER = 3, /* a listening socket: its accept queue, no peer */
};

/*
 * The group-by of the walk: one edge is one (pod, peer, port, role).
 * Where addresses, net namespace and port are zero, it is an overflow edge: growth that found no room of its own. That of a
 * cgroup takes what is beyond its tenant's share; that of no cgroup, 0, what found no room in the table.
 * Loopback: 127.0.0.1 stays, all other addresses of 127.0.0.0/8 are 127.0.0.0: any user may use all of them.
 */
struct edge_key {
	__u64 cgroup;         /* id in the v2 hierarchy: the socket's, or the one above that names it; 1 is the root */
	__u8 local_addr[16];  /* a listener may be bound to ::, all zero */
	__u8 remote_addr[16]; /* masked to a prefix rule's length where one matches; zero for a listener */
	__u32 netns;          /* inode number of the socket's net namespace */
	__u16 server_port;    /* host order: remote port for a client, local port otherwise */
	__u8 role;            /* enum edge_role */
	__u8 protocol;        /* IPPROTO_TCP */
};

/*
 * What an edge counts. Every field only grows until it is settled.
 * Bytes are TCP payload: sent counts each byte once however often it was sent again, received counts
 * what arrived in order. Neither counts SYN or FIN. Times are microseconds.
 */
struct edge_counters {
	__u64 bytes_sent;
	__u64 bytes_received;
	__u64 segs_out; /* all segments, also pure ACKs and retransmits: tcp_sock.segs_out */
	__u64 segs_in;
	__u64 retransmits_syn;            /* SYN and SYN-ACK */
	__u64 retransmits_fast;           /* acknowledgements showed the loss */
	__u64 retransmits_timeout;        /* in Loss, after an RTO */
	__u64 retransmits_tlp;            /* tail loss probe */
	__u64 retransmits_non_congestion; /* nothing was lost: the path's MTU shrank, or data on a SYN was not taken */
	__u64 retransmits_other;          /* counted by the socket, but no event told its type */
	__u64 spurious;                   /* DSACK blocks: the peer already had it; not part of the six above */
	__u64 out_of_order;               /* segments that arrived out of order: tcp_sock.rcv_ooopack */
	__u64 busy_us;                    /* chronograph: data was waiting or in flight */
	__u64 rwnd_limited_us;            /* of that, limited by the receiver's window */
	__u64 sndbuf_limited_us;          /* of that, limited by the send buffer */
	__u64 opened;                     /* handshakes completed */
	__u64 closed;                     /* of those opened or adopted, now gone */
	__u64 reset_sent;                 /* connections on which we sent a RST, once each */
	__u64 reset_received;             /* connections on which a RST came, once each */
	__u64 failed_refused;             /* SYN_SENT to CLOSE by sk_err: ECONNREFUSED */
	__u64 failed_timed_out;           /* ETIMEDOUT */
	__u64 failed_reset;               /* ECONNRESET */
	__u64 failed_host_unreachable;    /* EHOSTUNREACH */
	__u64 failed_net_unreachable;     /* ENETUNREACH */
	__u64 failed_cancelled;           /* no error: the application closed it before an answer came */
	__u64 failed_other;
	__u64 failed_no_local_port; /* connect() ended before a SYN, with EADDRNOTAVAIL: not in ActiveOpens */
	__u64 failed_not_sent;      /* likewise, for another reason: no memory, no route from that port, a rule */
	__u64 listener_drops;       /* listener: segments dropped, sk_drops: SYNs and ACKs at a full queue, and more */
	__u64 handshake_us;         /* sum of the handshake histogram's values; the next two likewise */
	__u64 rtt_us;
	__u64 duration_us;
};

/*
 * Base-2 exponential histograms at scale 2: bucket i of a histogram holds values v (microseconds) with
 * 2^(i/4) < v <= 2^((i+1)/4), four buckets a doubling, so a bucket's geometric middle is at most 9.1 %
 * off. That is OTLP's mapping: index i of a point with scale 2 in microseconds. Values of 0 and 1 go to
 * slot 0; values past the last slot go into it (the sum stays exact). The three histograms lie back to
 * back in one array of slots.
 */
#define HISTOGRAM_SCALE 2
#define HANDSHAKE_SLOTS 112 /* up to 2^28 us, 268 s: more than the longest SYN timeout */
#define RTT_SLOTS 112
#define DURATION_SLOTS 160 /* up to 2^40 us, 12 days */
enum histogram_slot {
	SLOT_HANDSHAKE = 0,
	SLOT_RTT = HANDSHAKE_SLOTS,
	SLOT_DURATION = HANDSHAKE_SLOTS + RTT_SLOTS,
	SLOT_COUNT = HANDSHAKE_SLOTS + RTT_SLOTS + DURATION_SLOTS,
};

#endif
