/**
 * One exchange's edges with names, namespaces' counters and the kernel's evidence of trouble → the evidence of its interval. The
 * first exchange gives none: what it brings may have happened long before.
 */
import type { Edge } from "../edges/edge-state.ts";
import type { Growth } from "../edges/edge-table.ts";
import { ATTR_K8S_NODE_NAME } from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { NeighbourTable } from "../model/kernel-evidence.ts";
import type { LocalEnd } from "../model/names.ts";
import type { NamespaceCounters } from "../model/probe-event.ts";
import { connectsOf } from "./connects.ts";
import type { EdgeEvidence, Evidence, NamespaceEvidence } from "./evidence.ts";
import { LossyNodes } from "./lossy-nodes.ts";
import { type GrownNamespace, NamespaceGrowths } from "./namespace-growth.ts";
import { NeighbourTableGrowths } from "./neighbour-table-growth.ts";
import { PastDrops } from "./past-drops.ts";
import { pathsOf } from "./paths.ts";
import { SilentNodes } from "./silent-nodes.ts";

const NS_PER_MS = 1_000_000n;

/** What an exchange brings beside its edges. */
export interface Brought {
  readonly namespaces: readonly NamespaceCounters[];
  readonly neighbourTables: readonly NeighbourTable[];
  /** Of the interval. */
  readonly troubles: readonly EvidenceGrowth[];
}

export class EvidenceReader {
  readonly #growths = new NamespaceGrowths();
  readonly #tables = new NeighbourTableGrowths();
  readonly #pastDrops = new PastDrops();
  readonly #silent = new SilentNodes();
  readonly #lossy = new LossyNodes();
  #previousNs: bigint | undefined;
  /** Whether the last interval lost something: it is judged together with the next one, whether or not that does. */
  #wasLossy = false;

  /**
   * @param growth of one exchange; edges that have got names keep no trouble
   * @param node what a namespace without a known owner is about
   * @param lossyShare of segments sent again, from which on a node is lossy
   * @returns undefined for the first exchange
   */
  read(growth: Growth, brought: Brought, node: () => LocalEnd, lossyShare: number): Evidence | undefined {
    const { namespaces, neighbourTables, troubles } = brought;
    const previousNs = this.#previousNs;
    this.#previousNs = growth.clock.bootNs;
    const grown = this.#growths.take(namespaces);
    const tables = this.#tables.take(neighbourTables);
    const drops = troubles.filter(({ key }) => key.kind === "drop");
    const troubled = takeTroubled(growth.edges);
    if (previousNs === undefined) return undefined;
    const paths = pathsOf(growth.edges, troubled, node(), this.#wasLossy);
    this.#wasLossy = paths?.some(({ lost }) => lost > 0) ?? false;
    const time = { sinceNs: previousNs, untilNs: growth.clock.bootNs };
    const edges = [...troubled.values()];
    const neighbours = troubles.filter(({ key }) => key.kind !== "drop");
    const ownNode = nodeNameOf(node());
    const { silentNodes, recoveringNodes } = this.#silent.take(growth.edges, edges, neighbours, ownNode, time);
    const { lossyNodes, healingNodes } = this.#lossy.take(growth.edges, troubled, drops, ownNode, lossyShare, time);
    return {
      intervalMs: Number((time.untilNs - time.sinceNs) / NS_PER_MS),
      edges,
      paths: paths === undefined ? [] : [paths],
      connects: connectsOf(growth.edges, troubled, node()),
      silentNodes,
      lossyNodes,
      recoveringNodes: [...healingNodes, ...recoveringNodes],
      node,
      namespaces: new Map(grown.map((each) => [each.netns, namespaceEvidence(each, growth.edges, node)])),
      drops,
      pastDrops: this.#pastDrops.before(drops, growth.clock.bootNs),
      neighbours,
      neighbourTables: tables,
    };
  }
}

/** Trouble of an edge without names stays with it: it is judged once it has some. */
function takeTroubled(edges: readonly Edge[]): Map<Edge, EdgeEvidence> {
  const troubled = new Map<Edge, EdgeEvidence>();
  for (const edge of edges) {
    const { key, names, trouble, open, limit } = edge;
    if (trouble === undefined || names === undefined) continue;
    edge.trouble = undefined;
    if (!key.overflow) troubled.set(edge, { key, names, growth: trouble, open, limit });
  }
  return troubled;
}

function namespaceEvidence(
  { netns, cookie, growth, conntrack }: GrownNamespace,
  edges: readonly Edge[],
  node: () => LocalEnd,
): NamespaceEvidence {
  let subject: LocalEnd | undefined;
  return {
    netns,
    id: `${netns} ${cookie}`,
    growth,
    conntrack,
    // Few namespaces are asked for theirs, and a look goes over all edges.
    get subject() {
      subject ??= ownerOf(netns, edges) ?? node();
      return subject;
    },
  };
}

function nodeNameOf({ resource }: LocalEnd): string | undefined {
  const name = resource[ATTR_K8S_NODE_NAME];
  return typeof name === "string" ? name : undefined;
}

/** What the Resources of all ends in a namespace have in common: a pod, whichever of its containers they are in. */
function ownerOf(netns: number, edges: readonly Edge[]): LocalEnd | undefined {
  let owner: LocalEnd | undefined;
  for (const { key, names } of edges) {
    if (names === undefined || key.netns !== netns || key.overflow || names.local.id === owner?.id) continue;
    owner = owner === undefined ? names.local : commonEnd(owner, names.local);
  }
  return owner;
}

function commonEnd(a: LocalEnd, b: LocalEnd): LocalEnd {
  const resource: Attributes = Object.fromEntries(
    Object.entries(a.resource).filter(([name, value]) => JSON.stringify(b.resource[name]) === JSON.stringify(value)),
  );
  const parts = a.label.split("/");
  const other = b.label.split("/");
  const differs = parts.findIndex((part, index) => part !== other[index]);
  const label = parts.slice(0, differs === -1 ? undefined : differs).join("/");
  return { id: JSON.stringify(resource), resource, label: label === "" ? "several" : label };
}
