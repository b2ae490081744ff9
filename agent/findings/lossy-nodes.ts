/**
 * Other nodes of the cluster that get only a part of what this node sends them, interval by interval, from the traffic of all pods.
 *
 *   most pods of the node that are sent to lose the share ──► lossy ──── an interval with less than half of it ──► recovering ──► forgotten
 *
 * One pod that loses makes no lossy node. What this node itself drops is not lost on the way. An interval with little traffic proves
 * nothing, so the loss goes on in it, for a while. Holds one entry for each lossy node. Pure but for its own state.
 */
import type { Edge } from "../edges/edge-state.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import { grown, resent } from "./edge-places.ts";
import type { EdgeEvidence, LossyNode } from "./evidence.ts";
import type { IntervalTime } from "./silent-nodes.ts";

/** Of one node in one interval: less is no share of anything. */
const LEAST_SEGMENTS = 20;
/** Of one pod: it counts from here on. */
const LEAST_POD_SEGMENTS = 4;
/** Of the pods that count, so many must lose the share. */
const MOST_PODS = 0.75;
/** Loss is healed below this part of the share. */
const HEALED = 0.5;
/** Short intervals are judged together: where much is lost, connections wait and send little. */
const WINDOW_NS = 10_000_000_000n;
const NS_PER_MS = 1_000_000n;
const FORGET_NS = 30_000_000_000n;
/** Of 1,460 bytes, in a packet of 64 KiB that its device was to cut: one drop loses so many. */
const SEGMENTS_A_PACKET = 45;

/** SYNs are left out: a full accept queue makes clients send them again, too. */
interface Lost {
  segments: number;
  lost: number;
}

/** What one interval shows of a node. */
class Seen implements Lost {
  segments = 0;
  lost = 0;
  received = 0;
  readonly pods = new Map<string, Lost>();
  readonly senders = new Set<string>();
  resentSyns = 0;
  timeouts = 0;
  probes = 0;
  timedOut = 0;
  unreachable = 0;

  add({ names, segments, segmentsIn }: Edge, evidence: EdgeEvidence | undefined): void {
    if (names === undefined) return;
    const syns = evidence === undefined ? 0 : grown(evidence, "retransmitsSyn");
    const lost = evidence === undefined ? 0 : Math.max(0, resent(evidence) - grown(evidence, "spurious"));
    const sent = Math.max(lost, segments - syns);
    const pod = this.pods.get(names.remote.label) ?? { segments: 0, lost: 0 };
    this.pods.set(names.remote.label, pod);
    for (const sum of [this, pod]) {
      sum.segments += sent;
      sum.lost += lost;
    }
    this.received += segmentsIn;
    if (evidence === undefined) return;
    this.senders.add(names.local.id);
    this.resentSyns += syns;
    this.timeouts += grown(evidence, "retransmitsTimeout");
    this.probes += grown(evidence, "retransmitsTlp");
    this.timedOut += grown(evidence, "failedTimedOut");
    this.unreachable += grown(evidence, "failedHostUnreachable") + grown(evidence, "failedNetUnreachable");
  }

  addAll(seen: Seen): void {
    for (const name of SUMS) this[name] += seen[name];
    for (const sender of seen.senders) this.senders.add(sender);
    for (const [label, { segments, lost }] of seen.pods) {
      const pod = this.pods.get(label) ?? { segments: 0, lost: 0 };
      this.pods.set(label, pod);
      pod.segments += segments;
      pod.lost += lost;
    }
  }

  /** Pods that lose the share, where they are most of those that count; else 0. */
  lossyPods(share: number): number {
    const pods = [...this.pods.values()].filter(({ segments }) => segments >= LEAST_POD_SEGMENTS);
    const lossy = pods.filter((pod) => shareOf(pod) >= share).length;
    return lossy >= MOST_PODS * pods.length ? lossy : 0;
  }
}

interface Loss {
  readonly sinceNs: bigint;
  /** End of the last interval that showed it. */
  seenNs: bigint;
  readonly sum: Seen;
  peers: number;
}

interface Interval extends IntervalTime {
  readonly seen: Seen;
}

type NodesSeen = { readonly lossyNodes: readonly LossyNode[]; readonly healingNodes: readonly LossyNode[] };

export class LossyNodes {
  /** Those first that lose for longest. */
  readonly #losses = new Map<string, Loss>();
  /** Of each node the last intervals, the oldest first. */
  readonly #windows = new Map<string, Interval[]>();
  readonly #healing = new Map<string, { readonly node: LossyNode; readonly untilNs: bigint }>();

  /**
   * @param edges all of an exchange; EdgeEvidence of those with trouble by their edge
   * @param drops that this node's kernel said
   * @param ownNode its pods are not across any network
   * @param share of segments sent again from which on a node is lossy; 1: none is
   * @returns nodes that are lossy at the interval's end, those first that have been so for longest; and nodes that were
   */
  take(
    edges: readonly Edge[],
    troubled: ReadonlyMap<Edge, EdgeEvidence>,
    drops: readonly EvidenceGrowth[],
    ownNode: string | undefined,
    share: number,
    time: IntervalTime,
  ): NodesSeen {
    if (share === 1) return this.#forget();
    const seen = troubled.size === 0 && this.#losses.size === 0 ? new Map() : seenNodes(edges, troubled, ownNode);
    for (const { remote, count } of drops) {
      const node = remote?.nodeName === undefined ? undefined : seen.get(remote.nodeName);
      if (node !== undefined) node.lost = Math.max(0, node.lost - count * SEGMENTS_A_PACKET);
    }
    for (const [node, each] of seen) this.#judge(node, each, share, time);
    for (const [node, window] of this.#windows)
      if (time.untilNs - (window.at(-1)?.untilNs ?? 0n) > WINDOW_NS) this.#windows.delete(node);
    for (const [node, { seenNs }] of this.#losses)
      if (time.untilNs - seenNs > FORGET_NS) this.#heal(node, time.untilNs);
    for (const [node, { untilNs }] of this.#healing) if (untilNs < time.sinceNs) this.#healing.delete(node);
    // Others are well where a node with as much traffic is not lossy.
    const isWell = ([node, each]: [string, Seen]) => each.segments >= LEAST_SEGMENTS && !this.#losses.has(node);
    const othersAnswer = [...seen].some(isWell);
    return {
      lossyNodes: [...this.#losses].map(([node, loss]) => evidenceOf(node, loss, othersAnswer, time.untilNs)),
      healingNodes: [...this.#healing.values()].map(({ node }) => node),
    };
  }

  #forget(): NodesSeen {
    for (const known of [this.#losses, this.#windows, this.#healing]) known.clear();
    return { lossyNodes: [], healingNodes: [] };
  }

  #judge(node: string, seen: Seen, share: number, time: IntervalTime): void {
    const { untilNs } = time;
    const earlier = (this.#windows.get(node) ?? []).filter((each) => untilNs - each.sinceNs <= WINDOW_NS);
    const window = [...earlier, { seen, ...time }];
    this.#windows.set(node, window);
    const lately = new Seen();
    for (const each of window) lately.addAll(each.seen);
    if (lately.segments < LEAST_SEGMENTS) return;
    const peers = shareOf(lately) >= share ? lately.lossyPods(share) : 0;
    const known = this.#losses.get(node);
    if (peers === 0) {
      if (known !== undefined && shareOf(lately) < HEALED * share) this.#heal(node, untilNs);
      return;
    }
    const sinceNs = window.find((each) => each.seen.lost > 0)?.sinceNs ?? time.sinceNs;
    const loss = known ?? { sinceNs, seenNs: untilNs, sum: new Seen(), peers };
    this.#losses.set(node, loss);
    loss.seenNs = untilNs;
    loss.peers = Math.max(loss.peers, peers);
    loss.sum.addAll(seen);
  }

  /** Connections that have waited for as long as it lasted wait that long again before they send. */
  #heal(node: string, nowNs: bigint): void {
    const loss = this.#losses.get(node);
    if (loss === undefined) return;
    this.#losses.delete(node);
    const lastedNs = nowNs - loss.sinceNs;
    const untilNs = nowNs + (lastedNs < FORGET_NS ? lastedNs : FORGET_NS);
    this.#healing.set(node, { node: evidenceOf(node, loss, true, nowNs), untilNs });
  }
}

function seenNodes(
  edges: readonly Edge[],
  troubled: ReadonlyMap<Edge, EdgeEvidence>,
  ownNode: string | undefined,
): Map<string, Seen> {
  const nodes = new Map<string, Seen>();
  for (const edge of edges) {
    const node = edge.names?.remote.nodeName;
    const evidence = troubled.get(edge);
    if (node === undefined || node === ownNode || edge.key.overflow) continue;
    if (edge.segments === 0 && edge.segmentsIn === 0 && evidence === undefined) continue;
    const seen = nodes.get(node) ?? new Seen();
    nodes.set(node, seen);
    seen.add(edge, evidence);
  }
  return nodes;
}

const SUMS = [
  ...(["segments", "lost", "received", "resentSyns", "timeouts", "probes", "timedOut", "unreachable"] as const),
] as const;

function evidenceOf(node: string, { sinceNs, sum, peers }: Loss, othersAnswer: boolean, untilNs: bigint): LossyNode {
  const { received, resentSyns, timeouts, probes, timedOut, unreachable } = sum;
  return {
    ...{ node, peers, received, resentSyns, timeouts, probes, timedOut, unreachable, othersAnswer },
    silentMs: Number((untilNs - sinceNs) / NS_PER_MS),
    senders: sum.senders.size,
    unresolved: 0,
    isHeard: true,
    lostShare: shareOf(sum),
  };
}

function shareOf({ segments, lost }: Lost): number {
  return lost === 0 ? 0 : lost / segments;
}
