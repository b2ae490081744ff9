/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The contract: what the kernel programs keep, what the probe sends, what the agent decodes.
 *
 * Three readers share this file: flowspan.bpf.c (kernel), probe/ (user space, C) and the agent, whose
 * agent/generated/layout.ts is made from this file's BTF (scripts/generate-layout.ts). Change a struct
 * here and nowhere else, then run `npm run generate`. All integers are little-endian; every struct is a
 * multiple of 8 bytes long with no hidden padding. Times are CLOCK_BOOTTIME nanoseconds unless a field
 * says otherwise. Addresses are 16 bytes in network order, IPv4 as v4-mapped IPv6 (RFC 4291 2.5.5.2).
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* Raised when a struct or a frame changes its meaning; also names the directory of the pins. */
#define FLOWSPAN_PROTOCOL 3

/* ---- edges: what the kernel aggregates by ---------------------------------------------------------- */

enum edge_role {
	ROLE_CLIENT = 1,   /* this end sent the SYN */
	ROLE_SERVER = 2,   /* this end answered it */
	ROLE_LISTENER = 3, /* a listening socket: its accept queue, no peer */
};

/*
 * The group-by of the walk: one edge is one (pod, peer, port, role).
 * A cgroup of 0 (no cgroup has that id) marks the overflow edge of that role: growth that found no room
 * of its own. Its addresses, net namespace and port are zero too.
 */
struct edge_key {
	__u64 cgroup;         /* id of the socket's cgroup, v2 hierarchy; 1 is the root */
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

/* ---- frames: probe to agent -------------------------------------------------------------------------- */

enum frame_kind {
	FRAME_HELLO = 1,          /* struct frame_hello, first on every connection */
	FRAME_EXCHANGE_BEGIN = 2, /* struct frame_exchange */
	FRAME_EDGE = 3,           /* struct frame_edge, then `slot_count` struct slot_growth */
	FRAME_CGROUP = 4,         /* struct frame_cgroup, once a connection for each id, before its first edge */
	FRAME_NAMESPACE = 5,      /* struct frame_namespace */
	FRAME_PROGRAM = 6,        /* struct frame_program */
	FRAME_STATUS = 7,         /* struct frame_status */
	FRAME_EXCHANGE_END = 8,   /* struct frame_exchange again, with its totals */
	FRAME_CONNECTION = 9,     /* struct frame_connection, at any time */
	FRAME_SETTLED = 10,       /* struct frame_settled, answers COMMAND_FLUSH */
	/* agent to probe */
	COMMAND_EXCHANGE = 64,    /* no payload: walk, and send what has grown since it was settled */
	COMMAND_SETTLE = 65,      /* the payload of a FRAME_EDGE as it came: the Collector accepted it */
	COMMAND_FLUSH = 66,       /* no payload: apply all COMMAND_SETTLE so far and say so */
	COMMAND_SETTINGS = 67,    /* struct command_settings */
	COMMAND_PREFIX_RULE = 68, /* struct command_prefix_rule; the set is replaced: flags say first and last */
	COMMAND_RECORDS = 69,     /* struct command_records, at HELLO and whenever it has changed */
};

#define FRAME_LENGTH_MAX (64 * 1024)

struct frame_header {
	__u32 length; /* bytes after this header, at most FRAME_LENGTH_MAX */
	__u16 kind;   /* enum frame_kind */
	__u16 zero;
};

#define FLOWSPAN_MAGIC 0x4e415053574f4c46ULL /* "FLOWSPAN" */

struct frame_hello {
	__u64 magic;
	__u32 protocol;
	__u32 probe_pid;
	__u64 features;    /* enum feature, a bit each */
	__u64 boot_ns;     /* CLOCK_BOOTTIME now */
	__u64 realtime_ns; /* CLOCK_REALTIME at the same moment */
	__u64 exchange;    /* number of the last exchange, 0 before the first */
	__u64 started_ns;  /* when this set of maps was made: nothing is counted from before */
	__u32 edge_capacity;
	__u32 cpus;
	char kernel[64]; /* uname -r */
};

enum feature {
	FEATURE_RETRANSMIT = 0, /* retransmits by type; without: all of them are `other` */
	FEATURE_SEND_RESET = 1,
	FEATURE_RECEIVE_RESET = 2,
	FEATURE_RETRANSMIT_SYNACK = 3,
	FEATURE_CGROUP_NAMES = 4,
	FEATURE_CGROUP_V2 = 5,     /* sockets carry a cgroup other than the root */
	FEATURE_PROC_SNMP = 6,     /* /proc/PID/net/snmp of the host's pids is readable: coverage works */
	FEATURE_WALK_STORAGES = 7, /* without: the walk sees what a file leads to, the rest when it closes */
};

/* One exchange: ask, walk, send growth. Its number grows, by one unless a walk was cut short, and is pinned. */
struct frame_exchange {
	__u64 exchange;
	__u64 boot_ns;     /* when the walk ended: the time of every point made from this exchange */
	__u64 realtime_ns; /* CLOCK_REALTIME at the same moment */
	__u64 walk_ns;     /* how long the walk took */
	__u64 sockets;     /* sockets that the walk saw */
	__u64 edges;       /* frames of kind FRAME_EDGE sent; 0 in FRAME_EXCHANGE_BEGIN */
};

/*
 * The growth of one edge since it was last settled. The agent keeps the payload's bytes and sends them
 * back as COMMAND_SETTLE when the Collector has accepted what was made from them.
 * Rows with no growth are sent only while `open` is not 0, or once after `open` became 0.
 */
struct frame_edge {
	struct edge_key key;
	__u64 exchange;
	__u64 since_ns; /* the growth happened after this: when the edge was made or last settled */
	struct edge_counters growth;
	__u32 open;       /* now: open connections; a listener's queued connections */
	__u32 limit;      /* a listener's backlog limit, summed over its sockets; else 0 */
	__u32 slot_count; /* how many struct slot_growth follow */
	__u32 zero;
};

struct slot_growth {
	__u32 slot; /* index into the three histograms, see enum histogram_slot */
	__u32 count;
};

/*
 * Names of a cgroup, leaf first, below --cgroup if that is set; "" past its root or past the fourth. A name that
 * could not be read is "?", so that what is below it never passes for the host.
 */
#define CGROUP_LEVELS 4
#define CGROUP_NAME_MAX 256 /* with its end: a file's name has up to 255 bytes, though cgroupfs takes longer ones */
struct frame_cgroup {
	__u64 id;
	__u64 seen_ns;
	char names[CGROUP_LEVELS][CGROUP_NAME_MAX];
};

/* The kernel's own books of one net namespace, /proc/PID/net/snmp and netstat: absolute, from its creation. */
struct frame_namespace {
	__u32 netns;
	__u32 pid;    /* a thread that lives in it: not always its process's first one */
	__u64 cookie; /* never given out again, unlike the inode number; 0 where the kernel has none */
	__u64 active_opens;
	__u64 passive_opens;
	__u64 attempt_fails;
	__u64 estab_resets;
	__u64 in_segs;
	__u64 out_segs;
	__u64 retrans_segs;
	__u64 out_rsts;
	__u64 listen_overflows;
	__u64 listen_drops;
	__u64 out_no_routes; /* Ip: connects that ended in the routing table, before any socket state */
};

/* What one BPF program has cost and missed since it was loaded; times only while kernel.bpf_stats_enabled. */
struct frame_program {
	char name[16];
	__u64 runs;
	__u64 run_time_ns;
	__u64 recursion_misses;
};

/*
 * Every way to lose a fact in the kernel or the probe. One function counts them: loss__count().
 * `_detail` means that totals stay exact and only where they belong is lost.
 */
enum loss {
	LOSS_EDGE_TABLE_FULL_DETAIL = 0, /* growth went to the overflow edge */
	LOSS_STORAGE_FAILED,             /* no memory for a socket's storage: that socket is not counted */
	LOSS_COUNTER_CONTENDED,          /* compare-and-swap gave up; the next walk or the close takes it */
	LOSS_RECORDS_FULL,               /* the ring buffer was full: a connection record, not its counts */
	LOSS_CGROUP_NAME_FAILED,
	LOSS_CLOSED_UNTRACKED,     /* a socket closed that was never marked: opened before adoption could see it */
	LOSS_NAMESPACE_UNREADABLE, /* no coverage for one namespace in one exchange */
	LOSS_AGENT_GONE_RECORDS,   /* records that never reached an agent, or that it ended with: COMMAND_RECORDS */
	LOSS_RECORDS_SHED,         /* records past the token bucket: not their counts */
	LOSS_CLOSE_MISSED, /* a marked socket is gone whose close no program saw: what it counted last, and its close */
	LOSS_HANDSHAKE_UNTIMED_DETAIL, /* an open that was only seen later: counted, but not in the handshake's histogram */
	LOSS_NOT_ADOPTED, /* an older socket that no open file leads to; if it is a connection, its close is unseen, too */
	LOSS_ROLE_UNKNOWN_DETAIL, /* an older connection's socket did not show who opened it: a server's, without port */
	LOSS_CGROUP_NAME_CUT_DETAIL, /* a cgroup's name is longer than CGROUP_NAME_MAX: its end is missing */
	LOSS_SOCKMAP_BYPASS,  /* an end of a connection in a BPF sockmap: what a program redirected went around TCP */
	LOSS_RESET_UNDECIDED, /* no place to wait for who sent a reset: it counts as one that came, if as one at all */
	LOSS_PROCESS_UNKNOWN_DETAIL, /* a server's connection record without the process that listens */
	LOSS_EVENT_FAILED_DETAIL,    /* no memory for a connection's events: they are missing in its record */
	LOSS_COUNT,
};

struct frame_status {
	__u64 losses[LOSS_COUNT]; /* since the maps were made */
	__u64 edges;              /* entries in the edge table after this exchange */
	__u64 edge_capacity;
	__u64 evicted; /* idle edges removed, nothing lost, since the maps were made */
	__u64 cgroups;
	__u64 records; /* ring buffer records consumed */
	__u64 probe_cpu_us;
	__u64 probe_rss_bytes;
	__u64 adopted; /* sockets older than the probe that it took over */
};

/*
 * One connection that has ended, or never came to be; or an interim record of a long one (CONNECTION_INTERIM).
 * Only while settings.records is 1 and sampling keeps it. `event_count` struct connection_event follow.
 * Counters are those of the whole connection, for an adopted one from before its adoption, too; of an interim record, those since the one before.
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

struct frame_settled {
	__u64 rows;    /* settled since the last flush */
	__u64 unknown; /* rows that named no edge, or a number already settled: repeats, harmless */
};

/* ---- commands: agent to probe ------------------------------------------------------------------------- */

struct command_settings {
	__u64 idle_ns;           /* an edge with no growth and nothing open for this long is evicted */
	__u64 active_timeout_ns; /* an interim record after each such period of a connection that stays open; 0: none */
	__u64 trace_key[2];      /* SipHash key of the trace ids */
	__u64 sample_threshold;  /* random: keep what is not below it, of 56 bits; SAMPLE_NEVER: off */
	__u32 records;           /* 1: send FRAME_CONNECTION */
	__u32 sample_every;      /* keep each CPU's every Nth; 0: off */
	__u32 adaptive;          /* 1: keep every failure, reset, and what passes one of the next two */
	__u32 adaptive_rtt_us;   /* newest RTT above this; 0: off */
	__u32 adaptive_retransmits; /* more than this; all ones: off */
	__u32 records_per_s;        /* token bucket of each CPU: what passes it is LOSS_RECORDS_SHED; 0: no limit */
	__u32 records_burst;        /* its depth */
	__u32 records_at_once; /* 1: somebody waits for records: within a millisecond; 0: they gather for a second */
};

#define SAMPLE_NEVER (1ULL << 56)

/*
 * What became of the FRAME_CONNECTION that an agent was sent. The first on a connection is what had come before
 * it: what is missing there was lost on the way, or with another agent that had not settled it.
 */
struct command_records {
	__u64 agent;    /* a random number: this agent, for as long as it lives */
	__u64 received; /* in its life, over all connections */
	__u64 settled;  /* of those: the Collector has it, or it is counted as lost under a name of the agent's */
};

enum prefix_rule_flag {
	PREFIX_RULE_FIRST = 1,    /* forget all rules set before */
	PREFIX_RULE_COLLAPSE = 2, /* server-role edges from this prefix share one edge */
};

/* A named prefix of remote addresses; the longest match wins, no match keeps the address. */
struct command_prefix_rule {
	__u8 addr[16];
	__u32 prefix_length; /* of 128: an IPv4 /8 is 104 */
	__u32 flags;
};

#endif
