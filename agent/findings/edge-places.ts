/** What detectors of edges share: where an edge is, as a key and as attributes, and its growth by name. */

import { AT } from "../edges/counters.ts";
import {
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_FLOWSPAN_PEER_K8S_POD_NAME,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
} from "../generated/semconv.ts";
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import type { EdgeCounterName } from "../model/edge.ts";
import type { EdgeEvidence } from "./evidence.ts";

export const US_PER_S = 1e6;

export function grown({ growth }: Pick<EdgeEvidence, "growth">, counter: EdgeCounterName): number {
  return growth[AT[counter]] as number;
}

/** Of one counter, over several edges. */
export function grownTogether(edges: Iterable<Pick<EdgeEvidence, "growth">>, counter: EdgeCounterName): number {
  let sum = 0;
  for (const edge of edges) sum += grown(edge, counter);
  return sum;
}

/** Segments sent again, without SYNs and what was too large for the path. */
export function resent(edge: Pick<EdgeEvidence, "growth">): number {
  return RESENT.reduce((sum, counter) => sum + grown(edge, counter), 0);
}

const RESENT = ["retransmitsFast", "retransmitsTimeout", "retransmitsTlp", "retransmitsOther"] as const;

/** One for each subject, role, port, peer and local address. */
export function edgeKey({ key, names }: EdgeEvidence): string {
  const { role, serverPort, localAddress, remoteAddress, netns } = key;
  return [names.local.id, role, serverPort, remoteAddress, localAddress, netns].join(" ");
}

/** Who is at the other end of a connect. */
export function peerFacts({ key, names: { remote } }: EdgeEvidence): Attributes {
  return known({
    [ATTR_SERVER_PORT]: key.serverPort === 0 ? undefined : key.serverPort,
    [ATTR_NETWORK_PEER_ADDRESS]: key.remoteAddress,
    [ATTR_FLOWSPAN_PEER_KIND]: remote.kind,
    [ATTR_SERVICE_PEER_NAME]: remote.name,
    [ATTR_SERVICE_PEER_NAMESPACE]: remote.namespace,
    [ATTR_FLOWSPAN_PEER_K8S_POD_NAME]: remote.podName,
    [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: remote.nodeName,
  });
}

/** The same of connections, which either end may have opened. */
export function connectionFacts(edge: EdgeEvidence): Attributes {
  return { [ATTR_FLOWSPAN_ROLE]: edge.key.role, ...peerFacts(edge) };
}

function known(facts: Readonly<Record<string, AttributeValue | undefined>>): Attributes {
  return Object.fromEntries(
    Object.entries(facts).filter((fact): fact is [string, AttributeValue] => fact[1] !== undefined),
  );
}
