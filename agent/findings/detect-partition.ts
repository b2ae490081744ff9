/**
 * Other nodes that do not answer, whichever of their pods is asked → partition: of each such node, or of this one where several
 * became silent and no other node answers. Pure.
 *
 * Shorter silences are candidates, too, and so are nodes that recover from one: what they bring about is not found beside them
 * (explanations.ts).
 */
import {
  ATTR_FLOWSPAN_CONNECT_TIMED_OUT,
  ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED,
  ATTR_FLOWSPAN_PARTITION_CONNECTS_UNREACHABLE,
  ATTR_FLOWSPAN_PARTITION_KIND,
  ATTR_FLOWSPAN_PARTITION_NODES,
  ATTR_FLOWSPAN_PARTITION_PEERS,
  ATTR_FLOWSPAN_PARTITION_SEGMENTS_RECEIVED,
  ATTR_FLOWSPAN_PARTITION_SENDERS,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  FLOWSPAN_PARTITION_KIND_VALUE_ONE_WAY,
  FLOWSPAN_PARTITION_KIND_VALUE_UNREACHABLE,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Candidate, Detector, SilentNode } from "./evidence.ts";
import { nodePlace } from "./places.ts";

const MS_PER_S = 1000;

export const detectPartition: Detector<"partition"> = (
  { silentNodes, recoveringNodes, node },
  { threshold, least },
) => {
  const subject = node();
  const suspects = silentNodes.filter(({ peers }) => peers >= least);
  const alone = suspects.filter(({ othersAnswer }) => !othersAnswer);
  const isIsolated = alone.length > 1;
  const candidate = (key: string, nodes: readonly SilentNode[], facts: Attributes, mayHold: boolean): Candidate => {
    const value = Math.max(...nodes.map(({ silentMs }) => silentMs)) / MS_PER_S;
    const holds = mayHold && value >= threshold;
    const accountsFor = nodes.map((silent) => ({ place: nodePlace(silent.node), count: Infinity }));
    const found = { ...facts, ...factsOf(nodes) };
    return { key: `${subject.id} ${key}`, subject, value, holds, counts: {}, facts: found, accountsFor };
  };
  const ofOne = (silent: SilentNode, mayHold: boolean) =>
    candidate(`node ${silent.node}`, [silent], { [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: silent.node }, mayHold);
  const each = suspects.map((silent) => ofOne(silent, !(isIsolated && alone.includes(silent))));
  const wereSilent = recoveringNodes.filter(
    ({ peers, silentMs }) => peers >= least && silentMs >= MS_PER_S * threshold,
  );
  const recovering = wereSilent.map((silent) => ofOne(silent, false));
  return [...each, ...recovering, ...(isIsolated ? [candidate("isolated", alone, {}, true)] : [])];
};

function factsOf(nodes: readonly SilentNode[]): Attributes {
  const sum = (of: (node: SilentNode) => number) => nodes.reduce((all, node) => all + of(node), 0);
  return {
    [ATTR_FLOWSPAN_PARTITION_KIND]: nodes.some(({ isHeard }) => isHeard)
      ? FLOWSPAN_PARTITION_KIND_VALUE_ONE_WAY
      : FLOWSPAN_PARTITION_KIND_VALUE_UNREACHABLE,
    [ATTR_FLOWSPAN_PARTITION_NODES]: nodes.length,
    [ATTR_FLOWSPAN_PARTITION_PEERS]: sum(({ peers }) => peers),
    [ATTR_FLOWSPAN_PARTITION_SENDERS]: Math.max(...nodes.map(({ senders }) => senders)),
    [ATTR_FLOWSPAN_PARTITION_SEGMENTS_RECEIVED]: sum(({ received }) => received),
    [ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN]: sum(({ resentSyns }) => resentSyns),
    [ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT]: sum(({ timeouts }) => timeouts),
    [ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE]: sum(({ probes }) => probes),
    [ATTR_FLOWSPAN_CONNECT_TIMED_OUT]: sum(({ timedOut }) => timedOut),
    [ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED]: sum(({ unresolved }) => unresolved),
    [ATTR_FLOWSPAN_PARTITION_CONNECTS_UNREACHABLE]: sum(({ unreachable }) => unreachable),
  };
}
