/**
 * The edges of one interval → paths: who here sends to whom, which places that passes, how many segments, how many were lost.
 * localize.ts finds the place that loses them. Pure.
 *
 *   pod here ─ this node ─► the peer's node ─ peer's pod        pod here ─ this node ─► outside ─ address
 *   └──────────────── pair ────────────────────────────┘
 *
 * Healthy edges count too: a place that others pass unharmed is not at fault. Where nobody sent anything again in an interval nor in the
 * one before, it costs nothing. Bounded: beyond LIMIT paths with losses, more of them are known by their nodes alone.
 */
import type { Edge } from "../edges/edge-state.ts";
import { ATTR_K8S_NODE_NAME } from "../generated/semconv.ts";
import type { LocalEnd, Names, RemoteEnd } from "../model/names.ts";
import { nameOfEnd } from "./affected.ts";
import { grown, resent } from "./edge-places.ts";
import type { EdgeEvidence, Path } from "./evidence.ts";

/** What a place is, seen from this node. */
export type PlaceKind =
  | "local_pod"
  | "local_node"
  | "peer_node"
  | "peer_pod"
  | "peer_service"
  | "peer_address"
  | "outside"
  | "pair";

/** `peer_pod shop/cart-1`: no two places have one. */
export type PlaceName = `${PlaceKind} ${string}`;

/** Paths with losses, apart. 250 of them are localized in some 100 ms of CPU. */
const LIMIT = 250;

/**
 * @param edges with names, of one exchange; EdgeEvidence of those with trouble by their edge
 * @param node this one
 * @param isAsked also where nothing was lost
 * @returns undefined where nothing was lost and nobody asked
 */
export function pathsOf(
  edges: readonly Edge[],
  troubled: ReadonlyMap<Edge, EdgeEvidence>,
  node: LocalEnd,
  isAsked = false,
): Path[] | undefined {
  let isLossy = isAsked;
  for (const edge of troubled.values()) isLossy ||= lostOf(edge) > 0;
  if (!isLossy) return undefined;
  const ownNode = nodeNameOf(node);
  const paths = new Map<string, MutablePath>();
  for (const edge of edges) {
    const { names, key, segments } = edge;
    const evidence = troubled.get(edge);
    if (names === undefined || key.overflow || (segments === 0 && evidence === undefined)) continue;
    const id = `${names.local.id} ${names.remote.kind} ${names.remote.label}`;
    let path = paths.get(id);
    if (path === undefined) {
      const peerNode = names.remote.nodeName;
      path = { id, places: placesOf(names, ownNode), peerNode, segments: 0, lost: 0, edges: [] };
      paths.set(id, path);
    }
    const lost = evidence === undefined ? 0 : lostOf(evidence);
    // The walk leaves a locked socket to the next one: what was sent again may come before what was sent.
    path.segments += Math.max(segments, lost);
    path.lost += lost;
    if (evidence !== undefined && lost > 0) path.edges.push(evidence);
  }
  return bounded([...paths.values()].filter(({ places }) => places.length > 0));
}

interface MutablePath {
  readonly id: string;
  places: readonly string[];
  segments: number;
  lost: number;
  readonly peerNode: string | undefined;
  edges: EdgeEvidence[];
}

/** As an interval before the newest one is kept: its edges' growth is in no count any more. */
export function withoutEdges(path: Path): Path {
  return path.edges.length === 0 ? path : { ...path, edges: [] };
}

/** SYNs are left out, since a full accept queue makes clients send them again, too; so is what was too large for the path. */
export function lostOf(edge: Pick<EdgeEvidence, "growth">): number {
  return Math.max(0, resent(edge) - grown(edge, "spurious"));
}

/** Of this node: as peers of its pods have it, where that is known. */
export function nodeNameOf({ resource, label }: LocalEnd): string {
  return String(resource[ATTR_K8S_NODE_NAME] ?? label);
}

/** From here to the peer; none for what never leaves its pod or host. */
export function placesOf({ local, remote }: Names, ownNode: string): PlaceName[] {
  if (remote.kind === "loopback" || remote.kind === "host") return [];
  const pod = nameOfEnd(local);
  const ends: PlaceName[] = [`local_pod ${pod}`, `pair ${pod} > ${remote.label}`];
  // Traffic within a node uses none of its devices.
  if (remote.nodeName === ownNode) {
    if (remote.kind === "node") return [];
    return [...ends, ...peerPlaces(remote).filter((name) => !name.startsWith("peer_node "))];
  }
  return [...ends, `local_node ${ownNode}`, ...peerPlaces(remote)];
}

function peerPlaces({ kind, label, nodeName, podName }: RemoteEnd): PlaceName[] {
  const node: PlaceName[] = nodeName === undefined ? [] : [`peer_node ${nodeName}`];
  switch (kind) {
    case "pod":
      // Of two pods that shared an address only their workload is known.
      return [...node, `peer_pod ${podName === undefined ? `of ${label}` : label}`];
    case "node":
      return node;
    case "service":
      return [...node, `peer_service ${label}`];
    case "external":
    case "cidr":
      return ["outside network", `peer_address ${label}`];
    default:
      return [`peer_address ${label}`];
  }
}

/** Those that lost least beyond the limit share a path for each of their nodes. */
function bounded(paths: readonly Path[]): Path[] {
  const lossy = paths.filter(({ lost }) => lost > 0);
  if (lossy.length <= LIMIT) return [...paths];
  const whole = new Set(lossy.toSorted((a, b) => b.lost - a.lost).slice(0, LIMIT));
  const rest = new Map<string, MutablePath>();
  const kept: Path[] = [];
  for (const path of paths) {
    if (path.lost === 0 || whole.has(path)) {
      kept.push(path);
      continue;
    }
    const places = path.places.filter((name) => SHARED.some((kind) => name.startsWith(`${kind} `)));
    const id = places.join();
    const shared = rest.get(id);
    if (shared === undefined) rest.set(id, { ...path, id, places, edges: [...path.edges] });
    else {
      shared.segments += path.segments;
      shared.lost += path.lost;
      shared.edges.push(...path.edges);
    }
  }
  return [...kept, ...[...rest.values()].filter(({ places }) => places.length > 0)];
}

const SHARED: readonly PlaceKind[] = ["local_node", "peer_node", "outside"];
