/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Every way to lose a fact in the kernel or the probe, by number. */
#ifndef CONTRACT_LOSSES_H
#define CONTRACT_LOSSES_H

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

#endif
