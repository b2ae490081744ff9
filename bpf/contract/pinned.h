/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What stays in the kernel between two runs of the probe: the values of the pinned maps.
 *
 * Shared by kernel programs and probe, not by the agent. What only programs read has its struct beside its map. A change
 * of any of these structs needs a new FLOWSPAN_PROTOCOL, because an older probe's pins may hold the old shape.
 */
#ifndef CONTRACT_PINNED_H
#define CONTRACT_PINNED_H

#include "contract/command.h"
#include "contract/edge.h"
#include "contract/evidence.h"
#include "contract/types.h"

/*
 * One edge: its growth since it was last settled, and nothing else. Settling subtracts.
 *
 * Who adds to it (hooks, the walk, settle) holds a reference meanwhile: `refs` is above 0. Eviction sets `evicting` and
 * goes on only if nobody holds one, so that no addition lands in a removed edge.
 */
struct edge_value {
	struct edge_key key; /* again, so that a holder of a stale pointer notices: see edge__enter() */
	struct edge_counters growth;
	__u32 slots[SLOT_COUNT];
	__u64 settled;   /* number of the exchange last settled; at creation that of the last exchange begun */
	__u64 since_ns;  /* the growth happened after this: an exchange's time */
	__u64 active_ns; /* last growth; nothing is evicted that was active since idle_ns */
	__u64 open_walk; /* the walk that `open` and `limit` were counted by; another walk's number: they are 0 */
	__u32 open;
	__u32 limit;
	__u32 reported; /* 1: a walk found something open, and no row without was settled since: one is due */
	__u32 refs;
	__u32 evicting;
	__u32 tenant; /* one more than its place in tenants[]; 0: just being made, or of no cgroup */
};

/* tenants[]: who holds how much; found by the hash of its id (common/tenants.h). */
#define TENANTS_MAX 4096
#define TENANT_NOBODY 0 /* the place of those that found none */
struct tenant {
	__u64 id;    /* its cgroup; 0: the place is free */
	__u64 edges; /* in the edge table, its overflow edges with them */
};

enum settlement_action {
	SETTLEMENT_SUBTRACT = 1, /* the growth was accepted */
	SETTLEMENT_EVICT = 2,    /* remove the edge if it is settled and idle */
};

enum settlement_result {
	SETTLEMENT_DONE = 0,
	SETTLEMENT_UNKNOWN = 1, /* no such edge */
	SETTLEMENT_REPEAT = 2,  /* settled already */
	SETTLEMENT_BUSY = 3,    /* evict: not idle after all */
	SETTLEMENT_REFUSED = 4, /* more than the edge has; counted as LOSS_SETTLE_REFUSED */
};

/* One row for the settle program; the probe fills it through mmap. */
#define SETTLEMENTS_MAX 64
struct settlement {
	struct edge_key key;
	struct edge_counters growth;
	__u32 slots[SLOT_COUNT];
	__u64 exchange; /* the exchange that is settled */
	__u64 boot_ns;  /* its time: the edge's next since_ns */
	__u32 reported; /* 1: the row had something open, or a queue to wait in */
	__u16 action;   /* enum settlement_action */
	__u16 result;   /* enum settlement_result, written by the program */
};

/* Context of the settle program: how many settlements to apply, from the first. */
struct settle_context {
	__u64 count;
};

/* settings[0]: written by the probe, read by every program. */
struct settings {
	__u64 generation;              /* only programs loaded with this number act: an upgrade flips it in one write */
	__u64 filter_cgroup;           /* id of the cgroup whose subtree is counted; 0: everything */
	__u32 filter_level;            /* its depth below the root */
	__u32 prefix_rules;            /* 1: look remote addresses of servers up in `prefix_rules` */
	__u32 jiffies_per_s;           /* CONFIG_HZ */
	__u32 edge_capacity;           /* of the edge table */
	struct command_settings asked; /* as the agent sent them last */
};

/* Where the connection records stand that agents were sent. */
struct record_ledger {
	__u64 agent;   /* to whom the last ones went: command_records.agent */
	__u64 sent;    /* to that agent, in its life */
	__u64 settled; /* of those, as it said last */
};

/*
 * state[0]: where the exchanges stand. exchange, walk, close_missed and what follows evicted but `edges` are written by the
 * probe, the rest by programs.
 */
struct state {
	__u64 exchange;     /* the last one begun */
	__u64 exchange_ns;  /* when the last one was begun */
	__u64 walk;         /* number of the running or last walk: the exchange's number */
	__u64 walk_ns;      /* when it began */
	__u64 started_ns;   /* when these maps were made */
	__u64 sockets;      /* sockets seen by the last walk */
	__u64 live;         /* of those, whose close was not seen yet */
	__u64 close_missed; /* the most that LOSS_CLOSE_MISSED was found to be, by the probe */
	__u64 adopted;
	__u64 evicted;
	__u64 agent_gone_records; /* sent, and nobody is left to say what became of them */
	__u64 namespaces_unreadable;
	__u64 not_adopted;
	__u64 hook_gaps;
	__u64 filter_gaps;
	__u64 edges; /* in the edge table, as programs count them */
	struct record_ledger records;
	__u64 evidence_side; /* which of the two tables programs count into now: 0 or 1; written by the probe, as the next */
	__u64 evidence_since_ns;       /* that table's growth happened after this */
	__u64 evidence_drain;          /* how often the tables were swapped */
	__u64 evidence_drain_since_ns; /* growth of the other table happened after this */
};

/* socket_totals[], per CPU. What is tracked and not closed is open, or its close was missed. */
enum socket_total {
	SOCKETS_TRACKED = 0, /* that got a storage */
	SOCKETS_CLOSED,      /* of those, whose close a program saw */
	SOCKET_TOTAL_COUNT,
};

/*
 * Waking the probe costs more than a record does: each CPU wakes it once in WAKE_NS at most, and where nobody waits for
 * records only when so much has gathered, which is a write to the agent, or a quarter of the ring buffer (records/poller.h).
 */
#define WAKE_NS 200000
#define RECORDS_WAKE_BYTES (64 * 1024)

/* samplers[0]: per CPU, what records go by. */
struct sampler {
	__u64 woken_ns;  /* when the probe was last woken */
	__u64 filled_ns; /* when tokens were last added */
	__u64 tokens;    /* in thousandths of a record */
	__u64 seen;      /* records that every-Nth has counted */
};

/* Evidence as programs count it, until the probe takes it. */
struct evidence_growth {
	__u64 count;
	char device[DEVICE_NAME_MAX];
};

/* Evidence that no Collector has accepted yet. Written and read by the probe alone. */
struct evidence_value {
	__u64 count;
	__u64 since_ns;
	__u64 settled; /* number of the exchange last settled; at creation that before the one that made it */
	__u64 drain;   /* number of the drain that added last: one that was cut short is repeated */
	char device[DEVICE_NAME_MAX];
};

struct evidence_total_key {
	__u32 kind;
	__u32 reason;
};

/* Per CPU. */
struct evidence_total {
	__u64 count;
	__u64 left_out;
};

/* Of which keys a table holds so many: those of one reason, or of one tenant of that. */
struct evidence_share_key {
	__u32 kind;
	__u32 reason;
	__u32 side;
	__u32 tenant; /* the low half of its cgroup's id, or a net namespace; 0: of the whole reason */
};

/* tenant_records[]: per CPU, records of one tenant of late, by its place in tenants[]. */
struct tenant_records {
	__u64 since_ns; /* when `taken` was last halved */
	__u64 taken;
};

/* Key of the prefix_rules trie: prefix first, as BPF_MAP_TYPE_LPM_TRIE wants it. The value is the prefix length again. */
struct prefix_rule_key {
	__u32 prefix_length;
	__u8 addr[16];
};
struct prefix_rule_value {
	__u32 prefix_length;
	__u32 flags; /* enum prefix_rule_flag */
};

/* What the `namespaces` iterator writes, once for each net namespace that a counted thread lives in. */
struct namespace_seen {
	__u64 cookie; /* 0 where the kernel has none */
	__u64 cgroup; /* of the thread */
	__u32 netns;
	__u32 pid; /* of the thread: /proc/PID/net is that thread's, whatever its process's first one does */
};

/* Where a TCP socket of /proc/PID/net/tcp is: what tells it from all others that last. Ports in host order. */
struct socket_place {
	__u8 local[16];
	__u8 remote[16];
	__u32 netns;
	__u16 local_port;
	__u16 remote_port;
};

#endif
