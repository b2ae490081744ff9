/** Connects that were refused → connect_refused, for each place that was to be connected to. Pure. */
import { ATTR_FLOWSPAN_CONNECT_OPENED, ATTR_FLOWSPAN_CONNECT_REFUSED } from "../generated/semconv.ts";
import { edgeKey, grown, peerFacts } from "./edge-places.ts";
import type { Detector } from "./evidence.ts";

export const detectConnectRefused: Detector<"connect_refused"> = ({ edges }, { threshold }) =>
  edges
    .filter((edge) => grown(edge, "failedRefused") > 0)
    .map((edge) => {
      const refused = grown(edge, "failedRefused");
      return {
        key: edgeKey(edge),
        subject: edge.names.local,
        value: refused,
        holds: refused >= threshold,
        counts: { [ATTR_FLOWSPAN_CONNECT_REFUSED]: refused, [ATTR_FLOWSPAN_CONNECT_OPENED]: grown(edge, "opened") },
        facts: peerFacts(edge),
      };
    });
