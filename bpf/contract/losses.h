/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Every way to lose a fact in the kernel or the probe, by number; loss__count() counts them. Generated from
 * semconv/model/losses.yaml, which says what is lost then: edit that and run `npm run generate`.
 */
#ifndef CONTRACT_LOSSES_H
#define CONTRACT_LOSSES_H

enum loss {
	/* There are more edges than `probe.edges`: growth goes to the overflow edge. */
	LOSS_EDGE_TABLE_FULL_DETAIL = 0,
	/*
	 * The kernel has no memory for a socket's storage. Linux 6.18 takes it beyond the limit of the probe's cgroup,
	 * too, and ends the probe there: nothing is lost then. Where `flowspan doctor` says that sockets are known by
	 * address, the limit is one. So are 262,144 sockets (`flowspan-probe --sockets`), and for each tenant (a pod,
	 * else a user, a container or a unit) as many as are free of them. It counts once when the connection opens,
	 * and as `closed_untracked` when it closes.
	 */
	LOSS_STORAGE_FAILED,
	/* Walk and close race for a counter of one socket, and one of them gives up after eight attempts. */
	LOSS_COUNTER_CONTENDED,
	/* Connection records come faster than the probe reads them: the ring buffer is full. */
	LOSS_RECORDS_FULL,
	/* A cgroup's name cannot be read or stored. */
	LOSS_CGROUP_NAME_FAILED,
	/*
	 * A socket closes that was never tracked: it is older than the probe and adoption did not find it, or the
	 * program of its opening did not run.
	 */
	LOSS_CLOSED_UNTRACKED,
	/* Four threads of a network namespace end, one after the other, before its counters are read through them. */
	LOSS_NAMESPACE_UNREADABLE,
	/*
	 * Agent or probe is killed while a record is on its way, or an agent is killed before it reports what became of
	 * a record.
	 */
	LOSS_AGENT_GONE_RECORDS,
	/*
	 * There are more records than the token bucket of their CPU lets through (`spans.rate`, `spans.burst`), or one
	 * tenant has had more of late than are left.
	 */
	LOSS_RECORDS_SHED,
	/*
	 * No program sees a socket's close. Or the first subflow of an MPTCP connection that is older than the probe
	 * ends before its socket, and the kernel clears its counters.
	 */
	LOSS_CLOSE_MISSED,
	/* No program sees a client's handshake end; the connection is found later. */
	LOSS_HANDSHAKE_UNTIMED_DETAIL,
	/*
	 * A socket is older than the probe and no open file leads to it: the kernel's own, one on its way to another
	 * process, one of an accept queue past 64 (before Linux 6.2 past 16), a further MPTCP subflow.
	 */
	LOSS_NOT_ADOPTED,
	/*
	 * A connection that is older than the probe does not show which end opened it: it was accepted from `listen(fd,
	 * 0)` of a listener that is gone, or bound and restored.
	 */
	LOSS_ROLE_UNKNOWN_DETAIL,
	/* A cgroup's name has more than 255 bytes. */
	LOSS_CGROUP_NAME_CUT_DETAIL,
	/*
	 * An end of a connection is in a BPF sockmap. One that closes first and was opened since the last walk is not
	 * known; its peer is.
	 */
	LOSS_SOCKMAP_BYPASS,
	/*
	 * Several sockets at once have resets that do not show yet who sent them, and none of the eight places is free
	 * that a socket's hash leads to.
	 */
	LOSS_RESET_UNDECIDED,
	/*
	 * Nobody knows who listens where a connection was accepted: its tenant (a pod, else a user, a container or a
	 * unit) has more listeners than its share of 16,384, as many as are free; no program saw the socket's birth,
	 * spans were off then, or the listener is the kernel's own and older than the probe.
	 */
	LOSS_PROCESS_UNKNOWN_DETAIL,
	/* The kernel has no memory for a connection's events. */
	LOSS_EVENT_FAILED_DETAIL,
	/*
	 * More different ones than fit happen within an interval: 8,192, and 1,024 for one reason; or no Collector
	 * accepts them.
	 */
	LOSS_EVIDENCE_FULL_DETAIL,
	/* The kernel gives more than 1,024 different reasons. */
	LOSS_EVIDENCE_UNCOUNTED,
	/*
	 * An agent settles a row with more than the kernel has of that edge: its numbers were changed on the way, or
	 * they are another agent's.
	 */
	LOSS_SETTLE_REFUSED,
	/*
	 * A hook or the walk of ours is detached, or leads to another program. The probe looks once a second, and ends
	 * so that its next start attaches it anew.
	 */
	LOSS_HOOK_GAP,
	/* The cgroup of `--cgroup` (`probe.cgroup`) is removed and made again, as systemd does with a slice. */
	LOSS_FILTER_GAP,
	/*
	 * A tenant (a pod, else a user, a container or a unit) has more edges than its share of the table
	 * (`probe.share`): its growth goes to an overflow edge of its own.
	 */
	LOSS_EDGE_SHARE_FULL_DETAIL,
	LOSS_COUNT,
};

#endif
