/** Connects that found no free local port → ports_exhausted, for each place that was to be connected to. Pure. */
import { ATTR_FLOWSPAN_CONNECT_NO_LOCAL_PORT, ATTR_FLOWSPAN_CONNECT_OPENED } from "../generated/semconv.ts";
import { edgeKey, grown, peerFacts } from "./edge-places.ts";
import type { Detector } from "./evidence.ts";

export const detectPortsExhausted: Detector<"ports_exhausted"> = ({ edges }, { threshold }) =>
  edges
    .filter((edge) => grown(edge, "failedNoLocalPort") > 0)
    .map((edge) => {
      const failed = grown(edge, "failedNoLocalPort");
      return {
        key: edgeKey(edge),
        subject: edge.names.local,
        value: failed,
        holds: failed >= threshold,
        counts: {
          [ATTR_FLOWSPAN_CONNECT_NO_LOCAL_PORT]: failed,
          [ATTR_FLOWSPAN_CONNECT_OPENED]: grown(edge, "opened"),
        },
        facts: peerFacts(edge),
      };
    });
