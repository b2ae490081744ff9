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
import type { Attributes } from "../model/attribute.ts";
import type { LocalEnd } from "../model/names.ts";
import { abandonedOf, failingPlaces, unansweredOf } from "./connects.ts";
import { edgeKey, grown, peerFacts } from "./edge-places.ts";
import type { Detector, EdgeEvidence } from "./evidence.ts";
import type { Suspect } from "./localize.ts";
import { nodeNameOf, placesOf } from "./paths.ts";
import { mayPass, placeFacts } from "./place-facts.ts";
import { edgePlaces, unreachablePlace } from "./places.ts";

export const detectConnectUnanswered: Detector<"connect_unanswered"> = ({ edges, connects, node }, { threshold }) => {
  const unanswered = edges.filter((edge) => unansweredOf(edge) > 0);
  const suspects = unanswered.some((edge) => unansweredOf(edge) >= threshold) ? failingPlaces(connects) : [];
  return unanswered.map((edge) => ({
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
    facts: { ...peerFacts(edge), ...failingPlace(edge, suspects, node()) },
    shows: [{ places: troubledPlaces(edge), count: unansweredOf(edge) }],
  }));
};

/** Where the connects of this interval fail, as far as these pass it. */
function failingPlace({ names }: EdgeEvidence, suspects: readonly Suspect[], node: LocalEnd): Attributes {
  if (suspects.length === 0) return {};
  const places = placesOf(names, nodeNameOf(node));
  const suspect = suspects.find((each) => mayPass(each, places));
  return suspect === undefined ? {} : placeFacts(suspect);
}

function troubledPlaces(edge: EdgeEvidence): string[] {
  const isUnreachable = grown(edge, "failedHostUnreachable") > 0;
  return [...edgePlaces(edge), ...(isUnreachable ? [unreachablePlace(edge.names.local)] : [])];
}
