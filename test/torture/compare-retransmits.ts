/**
 * Segments sent again, by type, against what the kernel counts where it sends each (tcp_output.c, tcp_timer.c):
 *
 *   all                        RetransSegs
 *   syn                        TCPSynRetrans, of SYNs and of SYN-ACKs
 *   fast                       TCPFastRetrans: tcp_xmit_retransmit_queue() outside of Loss
 *   timeout + non_congestion   TCPSlowStartRetrans: the same in Loss, and before it one for each timer that ran out
 *   tail_loss_probe            of TCPLossProbes, which also counts probes with new data
 *   other                      none, where each resend has an event; 6.1 and 6.12 have none for what fails
 *
 * So all but timeouts and probes are exact, and those two are together: what is left of RetransSegs.
 */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import { compareRange } from "./compare-segments.ts";
import { count } from "./compare-sums.ts";
import type { Differences } from "./differences.ts";
import type { Range } from "./socket-life.ts";
import type { Trace } from "./trace.ts";

export const RETRANSMITS: readonly EdgeCountersField[] = [
  ...(["retransmitsSyn", "retransmitsFast", "retransmitsTimeout", "retransmitsTlp"] as const),
  ...(["retransmitsNonCongestion", "retransmitsOther"] as const),
];

export interface Resends {
  /** By how much one of the kernel's counters has grown: the least and the most. */
  readonly grown: (name: string) => Range;
  /** No event may have told the type of some: an OUTPUT rule may have refused them. */
  readonly mayBeUntyped: boolean;
  /** Sockets that were not counted may have sent some. */
  readonly mayLack: boolean;
  /** A receiver may have closed its window. */
  readonly isShut: boolean;
}

/** @param clients of `both` */
export function compareRetransmits(
  { grown, mayBeUntyped, mayLack, isShut }: Resends,
  clients: readonly EdgeSum[],
  both: readonly EdgeSum[],
  said: Differences,
): void {
  const check = (name: string, what: string, fields: readonly EdgeCountersField[], [least, most]: Range) =>
    compareRange(name, what, count(both, ...fields), [mayLack ? 0 : least, most], said);
  const type = (what: string, field: EdgeCountersField, range: Range) =>
    check("retransmit-types", what, [field], range);
  check("retransmits", "segments sent again", RETRANSMITS, grown("Tcp.RetransSegs"));
  type("SYNs sent again", "retransmitsSyn", grown("TcpExt.TCPSynRetrans"));
  type("fast retransmits", "retransmitsFast", grown("TcpExt.TCPFastRetrans"));
  type("tail loss probes sent again", "retransmitsTlp", [0, grown("TcpExt.TCPLossProbes")[1]]);
  type("segments sent again without a type", "retransmitsOther", [0, mayBeUntyped ? Number.POSITIVE_INFINITY : 0]);
  const [least, most] = grown("TcpExt.TCPSlowStartRetrans");
  const causeless = count(both, "retransmitsNonCongestion");
  // A timer that finds the window closed sends again without a count of its own (tcp_retransmit_timer()).
  const timers = isShut ? Number.POSITIVE_INFINITY : grown("TcpExt.TCPTimeouts")[1] - count(clients, "retransmitsSyn");
  type("timeouts", "retransmitsTimeout", [least - causeless, most + timers]);
}

/**
 * Whether a receiver without room closed its window at any time: one that drops what came for want of room counts RcvPruned
 * alone (tcp_data_queue(), ICSK_ACK_NOMEM; tcp_prune_queue()).
 */
export function mayBeShut({ books }: Trace): boolean {
  return ["TCPToZeroWindowAdv", "TCPWantZeroWindowAdv", "RcvPruned"].some((name) => books[`TcpExt.${name}`]);
}
