/**
 * Other nodes that do not answer, or get only a part, whichever of their pods is asked → partition: of each such node, or of this one
 * where several became so and no other node is well. Pure.
 *
 * Shorter silences are candidates, too, and so are nodes that recover from one: what they bring about is not found beside them
 * (explanations.ts).
 */
import {
  ATTR_FLOWSPAN_CONNECT_TIMED_OUT,
  ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED,
  ATTR_FLOWSPAN_PARTITION_CONNECTS_UNREACHABLE,
  ATTR_FLOWSPAN_PARTITION_KIND,
  ATTR_FLOWSPAN_PARTITION_LOST_SHARE,
  ATTR_FLOWSPAN_PARTITION_NODES,
  ATTR_FLOWSPAN_PARTITION_PEERS,
  ATTR_FLOWSPAN_PARTITION_SEGMENTS_RECEIVED,
  ATTR_FLOWSPAN_PARTITION_SENDERS,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  FLOWSPAN_PARTITION_KIND_VALUE_LOSSY,
  FLOWSPAN_PARTITION_KIND_VALUE_ONE_WAY,
  FLOWSPAN_PARTITION_KIND_VALUE_UNREACHABLE,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Candidate, Detector, LossyNode, SilentNode } from "./evidence.ts";
import { nodePlace } from "./places.ts";

const MS_PER_S = 1000;

export const detectPartition: Detector<"partition"> = (
  { silentNodes, lossyNodes, recoveringNodes, node },
  { threshold, least },
) => {
  const subject = node();
  // One that loses most is silent in some of its intervals, and one that was lossy may be cut off now.
  const isCut = ({ peers, silentMs }: SilentNode) => peers >= least && silentMs >= MS_PER_S * threshold;
  const cut = new Set(silentNodes.filter(isCut).map((each) => each.node));
  const lossy = lossyNodes.filter((each) => !cut.has(each.node));
  const broken = [...silentNodes.filter((each) => !lossy.some((other) => other.node === each.node)), ...lossy];
  const suspects = broken.filter(({ peers }) => peers >= least);
  const alone = suspects.filter(({ othersAnswer }) => !othersAnswer);
  const isIsolated = alone.length > 1;
  const candidate = (
    key: string,
    nodes: readonly (SilentNode | LossyNode)[],
    facts: Attributes,
    mayHold: boolean,
  ): Candidate => {
    const value = Math.max(...nodes.map(({ silentMs }) => silentMs)) / MS_PER_S;
    const holds = mayHold && value >= threshold;
    const accountsFor = nodes.map((silent) => ({ place: nodePlace(silent.node), count: Infinity }));
    const found = { ...facts, ...factsOf(nodes) };
    return { key: `${subject.id} ${key}`, subject, value, holds, counts: {}, facts: found, accountsFor };
  };
  const ofOne = (silent: SilentNode | LossyNode, mayHold: boolean) =>
    candidate(`node ${silent.node}`, [silent], { [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: silent.node }, mayHold);
  const each = suspects.map((silent) => ofOne(silent, !(isIsolated && alone.includes(silent))));
  const known = new Set(suspects.map((suspect) => suspect.node));
  const were = new Map(recoveringNodes.filter(isCut).map((silent) => [silent.node, silent]));
  const recovering = [...were.values()]
    .filter((silent) => !known.has(silent.node))
    .map((silent) => ofOne(silent, false));
  return [...each, ...recovering, ...(isIsolated ? [candidate("isolated", alone, {}, true)] : [])];
};

function factsOf(nodes: readonly (SilentNode | LossyNode)[]): Attributes {
  const sum = (of: (node: SilentNode) => number) => nodes.reduce((all, node) => all + of(node), 0);
  return {
    ...kindOf(nodes),
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

function kindOf(nodes: readonly (SilentNode | LossyNode)[]): Attributes {
  const shares = nodes.flatMap((node) => ("lostShare" in node ? [node.lostShare] : []));
  if (shares.length === nodes.length)
    return {
      [ATTR_FLOWSPAN_PARTITION_KIND]: FLOWSPAN_PARTITION_KIND_VALUE_LOSSY,
      [ATTR_FLOWSPAN_PARTITION_LOST_SHARE]: Math.max(...shares),
    };
  const isHeard = nodes.some((node) => node.isHeard);
  return {
    [ATTR_FLOWSPAN_PARTITION_KIND]: isHeard
      ? FLOWSPAN_PARTITION_KIND_VALUE_ONE_WAY
      : FLOWSPAN_PARTITION_KIND_VALUE_UNREACHABLE,
  };
}
