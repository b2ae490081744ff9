/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* TCP and MPTCP sockets, their requests and their states. See sockets.h for what a struct here is. */
#ifndef KERNEL_TCP_SOCK_H
#define KERNEL_TCP_SOCK_H

#include "kernel/sockets.h"
#include "kernel/uapi.h"

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};
enum tcp_ca_state { TCP_CA_Open, TCP_CA_Disorder, TCP_CA_CWR, TCP_CA_Recovery, TCP_CA_Loss };
#define ICSK_TIME_LOSS_PROBE 5
/* The application shut both directions down, or closed. */
#define SHUTDOWN_MASK 3
enum tcp_chrono { TCP_CHRONO_UNSPEC, TCP_CHRONO_BUSY, TCP_CHRONO_RWND_LIMITED, TCP_CHRONO_SNDBUF_LIMITED };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* A local port, with all sockets that use it. */
struct inet_bind_bucket {
	signed char fastreuse; /* -1, as the next one: connect() chose it */
	signed char fastreuseport;
};

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};

struct inet_listen_hashbucket {
	struct hlist_nulls_head nulls_head;
};

/* Where listeners are found by their address and port; their own table since 5.19. */
struct inet_hashinfo {
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
};

struct request_sock;

struct request_sock_queue {
	struct request_sock *rskq_accept_head;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	struct inet_bind_bucket *icsk_bind_hash;
	__u8 icsk_ca_state : 5;
	__u8 icsk_retransmits; /* how often the timer ran out since an ACK moved on */
	__u8 icsk_pending;     /* what the timer is set for */
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_rack {
	__u64 mstamp; /* 0 before the first sample */
	__u32 rtt_us;
};

struct tcp_options_received {
	__u32 rcv_tsecr;
	__u16 saw_tstamp : 1, tstamp_ok : 1, wscale_ok : 1, sack_ok : 3, snd_wscale : 4;
};

struct list_head {
	struct list_head *next;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	struct list_head tsorted_sent_queue;
	__u32 segs_in;
	__u32 data_segs_in;
	__u32 segs_out;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 high_seq;
	__u32 undo_marker;
	int linger2;
	__u8 repair : 1;
	__u32 snd_wl1; /* where the segment began that last told of the peer's window */
	__u32 snd_wnd;
	__u32 delivered; /* segments of ours that were acknowledged */
	struct tcp_rack rack;
	struct tcp_options_received rx_opt;
	__u32 total_retrans;
	__u32 dsack_dups;
	__u32 rcv_ooopack;
	__u32 srtt_us;
	struct minmax rtt_min;
	__u32 chrono_start;
	__u32 chrono_stat[3];
	__u8 chrono_type : 2;
	__u8 syn_data : 1;
	__u8 syn_fastopen_child : 1;
};

struct request_sock {
	struct sock_common __req_common;
	struct request_sock *dl_next;
	struct sock *sk;
};

struct mptcp_sock {
	struct inet_connection_sock sk;
	struct sock *first;
};

#pragma clang attribute pop

#endif
