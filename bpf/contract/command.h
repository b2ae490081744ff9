/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Commands, from agent to probe. */
#ifndef CONTRACT_COMMAND_H
#define CONTRACT_COMMAND_H

#include "contract/types.h"

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
	__u32 edges_share; /* a tenant may hold so many percent of what is free of the edge table: contract/share.h */
	__u32 zero;
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
