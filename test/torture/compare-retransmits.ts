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
import type { EdgeSum } from "../lab/tally.ts";
import { compareRange } from "./compare-segments.ts";
import { count } from "./compare-sums.ts";
import type { Differences } from "./differences.ts";
import type { Trace } from "./trace.ts";

export const RETRANSMITS: readonly EdgeCountersField[] = [
  ...(["retransmitsSyn", "retransmitsFast", "retransmitsTimeout", "retransmitsTlp"] as const),
  ...(["retransmitsNonCongestion", "retransmitsOther"] as const),
];

/**
 * @param clients of `both`
 * @param mayFail an OUTPUT rule may have refused some
 */
export function compareRetransmits(
  { books }: Trace,
  clients: readonly EdgeSum[],
  both: readonly EdgeSum[],
  mayFail: boolean,
  said: Differences,
): void {
  const book = (name: string) => books[`TcpExt.${name}`] ?? 0;
  const type = (what: string, field: EdgeCountersField, low: number, high = low) =>
    compareRange("retransmit-types", what, count(both, field), [low, high], said);
  said.equal("retransmits", "segments sent again", count(both, ...RETRANSMITS), books["Tcp.RetransSegs"]);
  type("SYNs sent again", "retransmitsSyn", book("TCPSynRetrans"));
  type("fast retransmits", "retransmitsFast", book("TCPFastRetrans"));
  type("tail loss probes sent again", "retransmitsTlp", 0, book("TCPLossProbes"));
  type("segments sent again without a type", "retransmitsOther", 0, mayFail ? Number.POSITIVE_INFINITY : 0);
  const slow = book("TCPSlowStartRetrans");
  const causeless = count(both, "retransmitsNonCongestion");
  // A timer that finds the window closed sends again without a count of its own (tcp_retransmit_timer()). A receiver without
  // room for what came closes it, too, and counts RcvPruned alone (tcp_data_queue(), ICSK_ACK_NOMEM; tcp_prune_queue()).
  const isShut = book("TCPToZeroWindowAdv") + book("TCPWantZeroWindowAdv") + book("RcvPruned") > 0;
  const timers = isShut ? Number.POSITIVE_INFINITY : book("TCPTimeouts") - count(clients, "retransmitsSyn");
  type("timeouts", "retransmitsTimeout", slow - causeless, slow + timers);
}
