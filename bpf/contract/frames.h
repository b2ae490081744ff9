/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Frames, from probe to agent and back, and their headers; a connection record and the commands have headers of their own. */
#ifndef CONTRACT_FRAMES_H
#define CONTRACT_FRAMES_H

#include "contract/edge.h"
#include "contract/evidence.h"
#include "contract/losses.h"
#include "contract/types.h"

enum frame_kind {
	FRAME_HELLO = 1,            /* struct frame_hello, first on every connection */
	FRAME_EXCHANGE_BEGIN = 2,   /* struct frame_exchange */
	FRAME_EDGE = 3,             /* struct frame_edge, then `slot_count` struct slot_growth */
	FRAME_CGROUP = 4,           /* struct frame_cgroup, once a connection for each id, before its first edge */
	FRAME_NAMESPACE = 5,        /* struct frame_namespace */
	FRAME_PROGRAM = 6,          /* struct frame_program */
	FRAME_STATUS = 7,           /* struct frame_status */
	FRAME_EXCHANGE_END = 8,     /* struct frame_exchange again, with its totals */
	FRAME_CONNECTION = 9,       /* struct frame_connection, at any time */
	FRAME_SETTLED = 10,         /* struct frame_settled, answers COMMAND_FLUSH */
	FRAME_EVIDENCE = 11,        /* struct frame_evidence */
	FRAME_EVIDENCE_TOTAL = 12,  /* struct frame_evidence_total */
	FRAME_NEIGHBOUR_TABLE = 13, /* struct frame_neighbour_table */
	FRAME_TROUBLE = 14, /* struct frame_trouble, whenever it has changed; after HELLO only where there is one */
	/* agent to probe */
	COMMAND_EXCHANGE = 64,        /* no payload: walk, and send what has grown since it was settled */
	COMMAND_SETTLE = 65,          /* the payload of a FRAME_EDGE as it came: the Collector accepted it */
	COMMAND_FLUSH = 66,           /* no payload: apply all COMMAND_SETTLE so far and say so */
	COMMAND_SETTINGS = 67,        /* struct command_settings */
	COMMAND_PREFIX_RULE = 68,     /* struct command_prefix_rule; the set is replaced: flags say first and last */
	COMMAND_RECORDS = 69,         /* struct command_records, at HELLO and whenever it has changed */
	COMMAND_SETTLE_EVIDENCE = 70, /* the payload of a FRAME_EVIDENCE as it came: the Collector accepted it */
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
	FEATURE_CGROUP_V2 = 5,      /* sockets carry a cgroup other than the root */
	FEATURE_PROC_SNMP = 6,      /* /proc/PID/net/snmp of the host's pids is readable: coverage works */
	FEATURE_WALK_STORAGES = 7,  /* without: what is known of sockets lies by address, in a table that may be full */
	FEATURE_DROPS = 8,          /* dropped packets, by reason */
	FEATURE_NEIGHBOURS = 9,     /* neighbours that did not answer */
	FEATURE_WHOLE_MACHINE = 10, /* without: --cgroup; what a shared namespace counts is partly others' */
};

/* What is wrong with what the probe stands on, and was not mended within a second. */
struct frame_trouble {
	__u64 troubles; /* enum probe_trouble, a bit each */
};

enum probe_trouble {
	TROUBLE_PINS = 0,   /* they are gone, or their bpffs is: the probe counts, and the next one would begin anew */
	TROUBLE_HOOKS = 1,  /* a program of ours is detached */
	TROUBLE_FILTER = 2, /* the cgroup of --cgroup is gone: nothing is counted */
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
 * Names of a cgroup's level and of those above it, the innermost of them first, below --cgroup if that is set; "" past its
 * root. Edges have the outermost cgroup that says what runs there: what lies deeper is made by whoever owns that one, and is part of it
 * (common/cgroup_names.h). A name that could not be read is "?", so that what is below it never passes for the host.
 */
#define CGROUP_LEVELS 8     /* a pod's container on a node that is a container itself is the eighth at most */
#define CGROUP_NAME_MAX 256 /* with its end: a file's name has up to 255 bytes, though cgroupfs takes longer ones */
struct frame_cgroup {
	__u64 id;
	__u64 tenant; /* the pod's cgroup, else the user's, container's or unit's: whose share of the edge table it has part in */
	__u64 seen_ns;
	char names[CGROUP_LEVELS][CGROUP_NAME_MAX];
};

/*
 * Connection tracking of one net namespace, /proc/PID/net/stat/nf_conntrack. All zero where the kernel tracks nothing there.
 */
struct conntrack_counters {
	__u64 entries;
	__u64 limit;         /* nf_conntrack_max of the probe's own namespace: the machine's; 0: not known */
	__u64 insert_failed; /* two packets raced for one entry, and the later one was dropped */
	__u64 drop;       /* no entry could be made for a packet: the table was full; a race for its entry is in both */
	__u64 early_drop; /* an entry was thrown out to make room */
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
	__u64 out_no_routes;   /* Ip: connects that ended in the routing table, before any socket state */
	__u64 syncookies_sent; /* from here on TcpExt, as evidence of findings */
	__u64 syncookies_received;
	__u64 syncookies_failed;
	__u64 prune_called;
	__u64 rcv_pruned;
	__u64 tcp_rcv_q_drop;
	__u64 tcp_abort_on_memory;
	__u64 tcp_memory_pressures;
	__u64 cgroup; /* of the thread that has the lowest number */
	struct conntrack_counters conntrack;
};

/* What one BPF program has cost and missed since it was loaded; times only while kernel.bpf_stats_enabled. */
struct frame_program {
	char name[16];
	__u64 runs;
	__u64 run_time_ns;
	__u64 recursion_misses;
};

struct frame_status {
	__u64 losses[LOSS_COUNT]; /* since the maps were made */
	__u64 edges;              /* entries in the edge table after this exchange */
	__u64 edge_capacity;
	__u64 evicted; /* idle edges removed, nothing lost, since the maps were made */
	__u64 cgroups; /* that have edges; the names of 4,096 are kept */
	__u64 records; /* ring buffer records consumed */
	__u64 probe_cpu_us;
	__u64 probe_rss_bytes;
	__u64 adopted;        /* sockets older than the probe that it took over */
	__u64 tenant_edges;   /* of the tenant that holds most */
	__u64 tenant_limit;   /* what a tenant may hold as full as the table is now */
	__u64 memory_charged; /* bytes of the cgroup that has the limit, else of the probe's own; 0: not known */
	__u64 memory_limit;   /* the lowest one of the probe's cgroup and those above it; 0: none, or not known */
};

struct frame_settled {
	__u64 rows;    /* settled since the last flush */
	__u64 unknown; /* rows that named no edge, or a number already settled: repeats, harmless */
	__u64 refused; /* rows with more than their edge has: their growth stays, and comes again */
};

#endif
