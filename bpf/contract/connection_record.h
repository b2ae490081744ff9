/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The record of a connection, FRAME_CONNECTION: what becomes a span. */
#ifndef CONTRACT_CONNECTION_RECORD_H
#define CONTRACT_CONNECTION_RECORD_H

#include "contract/edge.h"
#include "contract/types.h"

/*
 * One connection that has ended, or never came to be; or an interim record of a long one (CONNECTION_INTERIM).
 * Only while settings.records is 1 and sampling keeps it. `event_count` struct connection_event follow.
 * Counters are those of the whole connection, for an adopted one from before its adoption, too. Those of an interim record
 * are what came since the one before.
 */
struct frame_connection {
	struct edge_key key; /* remote_addr unmasked */
	__u8 trace_id[16];   /* SipHash-2-4-128 of both ISNs; random where there was no second one */
	__u64 start_ns; /* SYN sent, or the server's handshake complete; of an interim record, the end of the one before */
	__u64 established_ns; /* 0: never */
	__u64 end_ns;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u64 sample_threshold; /* rejection threshold that this was kept under (OTel `th`), of 56 bits */
	__u32 segs_out;
	__u32 segs_in;
	__u32 retransmits;     /* of every type */
	__u32 retransmits_syn; /* a server's: SYN-ACKs */
	__u32 retransmits_fast;
	__u32 retransmits_timeout;
	__u32 retransmits_tlp;
	__u32 retransmits_non_congestion;
	__u32 spurious;
	__u32 out_of_order;
	__u32 handshake_us; /* 0: not known */
	__u32 srtt_us;
	__u32 min_rtt_us;
	__u32 last_rtt_us; /* the newest sample, which the histogram holds too; 0: none of a segment of this end */
	__u32 busy_us;     /* up to 71 minutes; then it stays there. The next two likewise */
	__u32 rwnd_limited_us;
	__u32 sndbuf_limited_us;
	__u32 pid;      /* of the opener; 0 where a softirq made it and the listener's is not known */
	__u32 interims; /* interim records before this one: 0 of a connection that was never reported before its end */
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u16 error;       /* sk_err at the end, EADDRNOTAVAIL where no local port was free, 0 for a clean one */
	__u16 flags;       /* enum connection_flag, a bit each */
	__u16 kept;        /* enum sample_reason, a bit each: why sampling kept it */
	__u16 event_count; /* struct connection_event that follow, in order of time */
	__u8 state;        /* enum tcp_state before the end */
	__u8 zero[7];
	char comm[16];
};

enum connection_flag {
	CONNECTION_ADOPTED = 0,
	CONNECTION_RESET_SENT = 1,
	CONNECTION_RESET_RECEIVED = 2,
	CONNECTION_INTERIM = 3,      /* it goes on: what it has done since its last record */
	CONNECTION_NOT_SENT = 4,     /* connect() ended before a SYN was sent */
	CONNECTION_RESTORED = 5,     /* made anew by TCP_REPAIR: its past, its ISNs with it, was another socket's */
	CONNECTION_CHECKPOINTED = 6, /* taken off its socket by TCP_REPAIR: it goes on, on another one */
	CONNECTION_IN_SOCKMAP = 7,   /* its data may have gone around TCP, and is in no count */
};

/* Trouble on a connection, as it happened. Retransmits past the last slot are only in the counters. */
#define CONNECTION_EVENTS 32
struct connection_event {
	__u64 time_ns;
	__u32 segments; /* resent by this event; else 0 */
	__u8 kind;      /* enum event_kind */
	__u8 state;     /* enum tcp_state at that moment */
	__u8 recovery;  /* the kernel's icsk_ca_state at that moment */
	__u8 zero;
};

enum event_kind {
	EVENT_RETRANSMIT_SYN = 1,
	EVENT_RETRANSMIT_FAST = 2,
	EVENT_RETRANSMIT_TIMEOUT = 3,
	EVENT_RETRANSMIT_TLP = 4,
	EVENT_RESET_SENT = 5,
	EVENT_RESET_RECEIVED = 6,
	EVENT_ZERO_WINDOW = 7, /* the walk found the peer's window closed */
	EVENT_RETRANSMIT_NON_CONGESTION = 8,
};

/* Why sampling kept a record. None of them: sampling was off, everything is kept. */
enum sample_reason {
	SAMPLE_EVERY_NTH = 0,
	SAMPLE_RANDOM = 1,   /* the trace id's low 56 bits are not below the threshold */
	SAMPLE_ADAPTIVE = 2, /* slow, resent, failed or reset */
};

#endif
