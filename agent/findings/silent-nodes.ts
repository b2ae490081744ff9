/**
 * Other nodes of the cluster that do not answer what this node sends them, interval by interval, from the traffic of all pods.
 *
 *   no pod of the node answers, and segments to it were sent again ──► silent ──── one answer, or nobody tries any more ──► forgotten
 *
 * One that answers again is recovering while connections may still wait to send again what was lost.
 * One pod that does not answer makes no silent node where another one of that node answers in the same interval. Holds one entry
 * for each silent node: at most as many as names are known of. Pure but for its own state.
 */
import type { Edge } from "../edges/edge-state.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import { grown } from "./edge-places.ts";
import type { EdgeEvidence, Evidence, SilentNode } from "./evidence.ts";

/** The kernel waits at most two minutes before it sends a segment again. After twice that nobody tries. */
const LONGEST_WAIT_NS = 120_000_000_000n;
const FORGET_NS = 2n * LONGEST_WAIT_NS;
const NS_PER_MS = 1_000_000n;

/** One interval on CLOCK_BOOTTIME. */
export interface IntervalTime {
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

/** Since the node is silent. */
class Silence {
  readonly sinceNs: bigint;
  /** End of its first interval. */
  firstUntilNs = 0n;
  triedNs: bigint;
  intervals = 0;
  /** Pods and the node itself, each with its workload; and workloads that were asked by their Services. */
  readonly #pods = new Map<string, string>();
  readonly #services = new Set<string>();
  readonly senders = new Set<string>();
  resentSyns = 0;
  timeouts = 0;
  probes = 0;
  timedOut = 0;
  unreachable = 0;
  unresolved = 0;
  /** Segments that came in the first interval, which may have come just before the silence; and in later ones. */
  receivedAtFirst = 0;
  receivedLater = 0;

  constructor(sinceNs: bigint) {
    this.sinceNs = sinceNs;
    this.triedNs = sinceNs;
  }

  /** Adds an edge that got no answer in the interval that ends at `untilNs`. */
  add(edge: EdgeEvidence, untilNs: bigint): void {
    const { local, remote } = edge.names;
    const workload = `${remote.namespace}/${remote.name}`;
    this.triedNs = untilNs;
    this.senders.add(local.id);
    if (remote.kind === "service") this.#services.add(workload);
    else this.#pods.set(remote.label, workload);
    this.resentSyns += grown(edge, "retransmitsSyn");
    this.timeouts += grown(edge, "retransmitsTimeout");
    this.probes += grown(edge, "retransmitsTlp");
    this.timedOut += grown(edge, "failedTimedOut");
    this.unreachable += grown(edge, "failedHostUnreachable") + grown(edge, "failedNetUnreachable");
  }

  /** Adds an address of the node itself that no neighbour answers for. */
  addUnresolved({ remote, count }: EvidenceGrowth, untilNs: bigint): void {
    this.triedNs = untilNs;
    this.unresolved += count;
    if (remote !== undefined) this.#pods.set(remote.label, remote.label);
  }

  /** Each pod once: also where it was asked by its own address, by both of its addresses, and by a Service. */
  get peers(): number {
    const workloads = new Set(this.#pods.values());
    return this.#pods.size + [...this.#services].filter((service) => !workloads.has(service)).length;
  }
}

type NodesSeen = Pick<Evidence, "silentNodes" | "recoveringNodes">;

/** What one interval shows of a node. */
interface Seen {
  isAnswering: boolean;
  segments: number;
  readonly unanswered: EdgeEvidence[];
  readonly unresolved: EvidenceGrowth[];
}

export class SilentNodes {
  /** Those first that have been silent for longest. */
  readonly #silences = new Map<string, Silence>();
  /** Nodes that answer again, and until when. */
  readonly #recovering = new Map<string, { readonly node: SilentNode; readonly untilNs: bigint }>();
  /** End of the last interval in which any other node answered. */
  #answeredNs = 0n;

  /**
   * @param edges all of an exchange
   * @param troubled those of them with trouble
   * @param neighbours that did not answer
   * @param ownNode its pods are not across any network
   * @returns nodes that are silent at the interval's end, those first that have been so for longest; and nodes that answer again
   */
  take(
    edges: readonly Edge[],
    troubled: readonly EdgeEvidence[],
    neighbours: readonly EvidenceGrowth[],
    ownNode: string | undefined,
    time: IntervalTime,
  ): NodesSeen {
    const seen = seenNodes(edges, troubled, neighbours, ownNode);
    for (const [node, each] of seen) {
      if (each.isAnswering) {
        this.#recover(node, time.untilNs);
        this.#answeredNs = time.untilNs;
      } else if (each.unanswered.length > 0 || each.unresolved.length > 0 || this.#silences.has(node)) {
        this.#extend(node, each, time);
      }
    }
    for (const [node, { triedNs }] of this.#silences)
      if (time.untilNs - triedNs > FORGET_NS) this.#silences.delete(node);
    for (const [node, { untilNs }] of this.#recovering) if (untilNs < time.sinceNs) this.#recovering.delete(node);
    return {
      silentNodes: [...this.#silences].map(([node, silence]) => this.#evidence(node, silence, time.untilNs)),
      recoveringNodes: [...this.#recovering.values()].map(({ node }) => node),
    };
  }

  /** A connection has waited for at most as long as the silence lasted, and waits that long again before it sends. */
  #recover(node: string, nowNs: bigint): void {
    const silence = this.#silences.get(node);
    if (silence === undefined) return;
    this.#silences.delete(node);
    const lastedNs = nowNs - silence.sinceNs;
    const untilNs = nowNs + (lastedNs < LONGEST_WAIT_NS ? lastedNs : LONGEST_WAIT_NS);
    this.#recovering.set(node, { node: this.#evidence(node, silence, nowNs), untilNs });
  }

  #extend(node: string, { segments, unanswered, unresolved }: Seen, { sinceNs, untilNs }: IntervalTime): void {
    const silence = this.#silences.get(node) ?? new Silence(sinceNs);
    this.#silences.set(node, silence);
    if (silence.intervals++ === 0) {
      silence.firstUntilNs = untilNs;
      silence.receivedAtFirst = segments;
    } else silence.receivedLater += segments;
    for (const edge of unanswered) silence.add(edge, untilNs);
    for (const neighbour of unresolved) silence.addUnresolved(neighbour, untilNs);
  }

  #evidence(node: string, silence: Silence, untilNs: bigint): SilentNode {
    const { sinceNs, peers, senders, resentSyns, timeouts, probes, timedOut, unreachable } = silence;
    const { intervals, receivedAtFirst, receivedLater, unresolved } = silence;
    return {
      node,
      silentMs: Number((untilNs - sinceNs) / NS_PER_MS),
      ...{ peers, senders: senders.size, resentSyns, timeouts, probes, timedOut, unreachable, unresolved },
      received: receivedAtFirst + receivedLater,
      // Segments of the first interval prove nothing where later ones had none.
      isHeard: intervals === 1 ? receivedAtFirst > 0 : receivedLater > 0,
      // Where all fall silent at once, one may have answered last just before the interval, and another just after.
      othersAnswer: this.#answeredNs > silence.firstUntilNs || this.#answeredNs === untilNs,
    };
  }
}

function seenNodes(
  edges: readonly Edge[],
  troubled: readonly EdgeEvidence[],
  neighbours: readonly EvidenceGrowth[],
  ownNode: string | undefined,
): Map<string, Seen> {
  const nodes = new Map<string, Seen>();
  const at = (node: string): Seen => {
    const seen = nodes.get(node) ?? { isAnswering: false, segments: 0, unanswered: [], unresolved: [] };
    nodes.set(node, seen);
    return seen;
  };
  for (const { key, names, segmentsIn, isAnswered } of edges) {
    const node = names?.remote.nodeName;
    if (node === undefined || node === ownNode || key.overflow || (segmentsIn === 0 && !isAnswered)) continue;
    const seen = at(node);
    seen.segments += segmentsIn;
    seen.isAnswering ||= isAnswered;
  }
  for (const edge of troubled) {
    const node = edge.names.remote.nodeName;
    if (node !== undefined && node !== ownNode && isUnanswered(edge)) at(node).unanswered.push(edge);
  }
  for (const each of neighbours) {
    const node = each.remote?.nodeName;
    if (node !== undefined && node !== ownNode && each.key.kind === "neighbour-unresolved")
      at(node).unresolved.push(each);
  }
  return nodes;
}

/** Whether segments were sent again since no acknowledgement came, or connects ended so. */
function isUnanswered(edge: EdgeEvidence): boolean {
  return UNANSWERED.some((counter) => grown(edge, counter) > 0);
}

const UNANSWERED = [
  ...(["retransmitsSyn", "retransmitsTimeout", "retransmitsTlp", "failedTimedOut"] as const),
  ...(["failedHostUnreachable", "failedNetUnreachable"] as const),
] as const;
