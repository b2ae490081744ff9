/**
 * Every loss by name, with one sentence for the reference: the kernel's and the probe's from here, the
 * agent's from where it counts them.
 *
 * The compiler keeps this list and enum loss of bpf/contract/contract.h the same.
 */
import type { LOSS_NAMES } from "../agent/generated/layout.ts";
import { AGENT_LOSSES } from "../agent/telemetry/losses.ts";

export interface Loss {
  readonly name: string;
  readonly where: "kernel and probe" | "agent";
  readonly meaning: string;
}

const KERNEL_LOSSES: Readonly<Record<(typeof LOSS_NAMES)[number], string>> = {
  edge_table_full_detail: "The edge table was full: growth went to the overflow edge.",
  storage_failed: "The kernel had no memory for a socket's storage: that socket is not counted.",
  counter_contended: "Walk and close raced for a counter and one gave up; the next walk or the close takes the growth.",
  records_full: "The ring buffer was full: one connection record is missing, its counts are not.",
  cgroup_name_failed: "A cgroup's name could not be kept: its edges may stay unnamed.",
  closed_untracked: "A socket closed that was opened before adoption could see it: nothing of it was counted.",
  namespace_unreadable: "A network namespace's own counters could not be read: no coverage for it in one exchange.",
  agent_gone_records:
    "A connection record never reached its agent, or was with one that ended before it said what became of it: its span is missing, unless the Collector had just taken it. Its counts are not.",
  records_shed: "A connection record was over the limit of its CPU (`spans.rate`): it is missing, its counts are not.",
  close_missed:
    "A socket is gone whose close nobody saw: what it counted since the last look, and its close, are missing. Or the first subflow of an MPTCP connection that is older than the probe ended before its socket: what it counted since the last look is missing. Only that is known where the kernel lets open files alone be walked.",
  handshake_untimed_detail: "A connection was seen only after its handshake: it is counted, but not in the histogram.",
  not_adopted:
    "A socket is older than the probe, and no open file leads to it (the kernel's own, on its way to another process, one of several MPTCP subflows): it is not counted. When it closes it is `closed_untracked`, too.",
  role_unknown_detail:
    "Nothing told which end opened a connection that is older than the probe: it counts as a server's, without `server.port`.",
  cgroup_name_cut_detail:
    "A cgroup's name has more than 255 bytes: what follows is missing, and with it perhaps the container's id.",
  sockmap_bypass:
    "An end of a connection was in a BPF sockmap: bytes and segments that a program handed to another socket of the machine went around TCP, and are in no number.",
  reset_undecided:
    "The end of a socket that was shut down for reading found no place to wait for what shows who reset it, if anybody: it counts as received where it may have been sent, and a span may say that it ended in order.",
  process_unknown_detail:
    "Who listens is not known where a connection was accepted (its listener was pushed out of a full table, no program saw the socket's birth, spans were off then, the kernel itself listens): its span has no process.",
  event_failed_detail:
    "The kernel had no memory for a connection's events: they, and the types of what it sent again, are missing in its span.",
};

export function listLosses(): Loss[] {
  return [
    ...Object.entries(KERNEL_LOSSES).map(([name, meaning]) => ({ name, where: "kernel and probe" as const, meaning })),
    ...Object.entries(AGENT_LOSSES).map(([name, meaning]) => ({ name, where: "agent" as const, meaning })),
  ];
}
