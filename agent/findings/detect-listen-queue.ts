/**
 * Listeners whose accept queue was full → listen_queue_overflow, one for each port. Pure.
 *
 * A listener's socket counts every segment that it drops, also a SYN that comes again since its SYN-ACK was lost. So its net
 * namespace must have counted overflows in the same interval. Where that was not read, the queue itself must be full.
 */
import {
  ATTR_FLOWSPAN_KERNEL_LISTEN_DROPS,
  ATTR_FLOWSPAN_KERNEL_LISTEN_OVERFLOWS,
  ATTR_FLOWSPAN_LISTENER_DROPS,
  ATTR_FLOWSPAN_LISTENER_QUEUE_LENGTH,
  ATTR_FLOWSPAN_LISTENER_QUEUE_LIMIT,
  ATTR_SERVER_PORT,
} from "../generated/semconv.ts";
import { edgeKey, grown } from "./edge-places.ts";
import type { Detector, NamespaceEvidence } from "./evidence.ts";

export const detectListenQueue: Detector<"listen_queue_overflow"> = ({ edges, namespaces }, { threshold }) =>
  edges
    .filter((edge) => edge.key.role === "listener" && grown(edge, "listenerDrops") > 0)
    .map((edge) => {
      const drops = grown(edge, "listenerDrops");
      const namespace = namespaces.get(edge.key.netns);
      const isFull = edge.open > edge.limit;
      const overflows = Math.min(drops, namespace?.growth.listenOverflows ?? (isFull ? drops : 0));
      return {
        key: edgeKey(edge),
        subject: edge.names.local,
        value: overflows,
        holds: overflows >= threshold,
        counts: { [ATTR_FLOWSPAN_LISTENER_DROPS]: drops, ...witnessOf(namespace) },
        facts: {
          [ATTR_SERVER_PORT]: edge.key.serverPort,
          [ATTR_FLOWSPAN_LISTENER_QUEUE_LENGTH]: edge.open,
          [ATTR_FLOWSPAN_LISTENER_QUEUE_LIMIT]: edge.limit,
        },
      };
    });

/** Absent where the namespace was not read. */
function witnessOf(namespace: NamespaceEvidence | undefined): Record<string, number> {
  if (namespace === undefined) return {};
  const { listenOverflows, listenDrops } = namespace.growth;
  return {
    [ATTR_FLOWSPAN_KERNEL_LISTEN_OVERFLOWS]: listenOverflows,
    [ATTR_FLOWSPAN_KERNEL_LISTEN_DROPS]: listenDrops,
  };
}
