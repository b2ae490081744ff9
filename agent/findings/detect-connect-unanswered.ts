/**
 * Connects that got no answer → connect_unanswered, for each place that was to be connected to. Pure.
 *
 * An application gives up long before the kernel does. Such a connect is `cancelled`, as one is whose application has
 * changed its mind. So it counts only up to the number of SYNs that were sent again to the same place.
 */
import {
  ATTR_FLOWSPAN_CONNECT_ABANDONED,
  ATTR_FLOWSPAN_CONNECT_HOST_UNREACHABLE,
  ATTR_FLOWSPAN_CONNECT_NET_UNREACHABLE,
  ATTR_FLOWSPAN_CONNECT_OPENED,
  ATTR_FLOWSPAN_CONNECT_TIMED_OUT,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
} from "../generated/semconv.ts";
import { edgeKey, grown, peerFacts } from "./edge-places.ts";
import type { Detector, EdgeEvidence } from "./evidence.ts";
import { edgePlaces, unreachablePlace } from "./places.ts";

export const detectConnectUnanswered: Detector<"connect_unanswered"> = ({ edges }, { threshold }) =>
  edges
    .filter((edge) => edge.key.role === "client" && unansweredOf(edge) > 0)
    .map((edge) => ({
      key: edgeKey(edge),
      subject: edge.names.local,
      value: unansweredOf(edge),
      holds: unansweredOf(edge) >= threshold,
      counts: {
        [ATTR_FLOWSPAN_CONNECT_TIMED_OUT]: grown(edge, "failedTimedOut"),
        [ATTR_FLOWSPAN_CONNECT_HOST_UNREACHABLE]: grown(edge, "failedHostUnreachable"),
        [ATTR_FLOWSPAN_CONNECT_NET_UNREACHABLE]: grown(edge, "failedNetUnreachable"),
        [ATTR_FLOWSPAN_CONNECT_ABANDONED]: abandonedOf(edge),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN]: grown(edge, "retransmitsSyn"),
        [ATTR_FLOWSPAN_CONNECT_OPENED]: grown(edge, "opened"),
      },
      facts: peerFacts(edge),
      shows: [{ places: placesOf(edge), count: unansweredOf(edge) }],
    }));

function placesOf(edge: EdgeEvidence): string[] {
  const isUnreachable = grown(edge, "failedHostUnreachable") > 0;
  return [...edgePlaces(edge), ...(isUnreachable ? [unreachablePlace(edge.names.local)] : [])];
}

function unansweredOf(edge: EdgeEvidence): number {
  const unreachable = grown(edge, "failedHostUnreachable") + grown(edge, "failedNetUnreachable");
  return grown(edge, "failedTimedOut") + unreachable + abandonedOf(edge);
}

function abandonedOf(edge: EdgeEvidence): number {
  return Math.min(grown(edge, "failedCancelled"), grown(edge, "retransmitsSyn"));
}
