/**
 * Segments that were sent again → retransmits, for each peer. Pure.
 *
 * SYNs are left out, since a full accept queue makes clients send them again, too; so are segments that were too large for the
 * path (`non_congestion`). What the peer already had (`spurious`) was not lost.
 */
import {
  ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_OTHER,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_FLOWSPAN_TCP_SEGMENTS_SENT,
} from "../generated/semconv.ts";
import { connectionFacts, edgeKey, grown } from "./edge-places.ts";
import type { Detector, EdgeEvidence } from "./evidence.ts";

export const detectRetransmits: Detector<"retransmits"> = ({ edges }, { threshold, least }) =>
  edges
    .filter((edge) => lostOf(edge) > 0)
    .map((edge) => {
      const lost = lostOf(edge);
      const sent = grown(edge, "segsOut");
      const share = lost / Math.max(sent, lost);
      return {
        key: edgeKey(edge),
        subject: edge.names.local,
        value: share,
        holds: share >= threshold && lost >= least,
        counts: {
          [ATTR_FLOWSPAN_TCP_SEGMENTS_SENT]: sent,
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT]: lost,
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST]: grown(edge, "retransmitsFast"),
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT]: grown(edge, "retransmitsTimeout"),
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE]: grown(edge, "retransmitsTlp"),
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_OTHER]: grown(edge, "retransmitsOther"),
          [ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS]: grown(edge, "spurious"),
        },
        facts: connectionFacts(edge),
      };
    });

function lostOf(edge: EdgeEvidence): number {
  const resent =
    grown(edge, "retransmitsFast") +
    grown(edge, "retransmitsTimeout") +
    grown(edge, "retransmitsTlp") +
    grown(edge, "retransmitsOther");
  return Math.max(0, resent - grown(edge, "spurious"));
}
