/**
 * The connects of one interval, answered or not, by the places that they pass: localize.ts names the fewest places that explain those
 * without an answer, as it does for lost segments. Pure.
 *
 * Connects that worked, or were refused, speak for the places that they passed. Where all were answered this costs nothing.
 */
import { type Edge, LATEST } from "../edges/edge-state.ts";
import type { LocalEnd } from "../model/names.ts";
import { grown } from "./edge-places.ts";
import type { EdgeEvidence } from "./evidence.ts";
import { LOCALIZE, localize, type Suspect } from "./localize.ts";
import { nodeNameOf, placesOf } from "./paths.ts";
import type { Observation } from "./place-model.ts";

/** Of connects one in a thousand fails for no place's reason, and one client tries several times in a row. */
const CONNECTS = { healthyRate: 0.001, burst: 3, minRate: 0.02 } as const;

/**
 * @param edges with names, of one exchange; EdgeEvidence of those with trouble by their edge
 * @param node this one
 * @returns none where all were answered
 */
export function connectsOf(
  edges: readonly Edge[],
  troubled: ReadonlyMap<Edge, EdgeEvidence>,
  node: LocalEnd,
): Observation[] {
  if (![...troubled.values()].some((edge) => unansweredOf(edge) > 0)) return [];
  const sums = new Map<string, { readonly places: readonly string[]; trials: number; bad: number }>();
  for (const edge of edges) {
    const { names, key } = edge;
    if (names === undefined || key.overflow || key.role !== "client") continue;
    const evidence = troubled.get(edge);
    const bad = evidence === undefined ? 0 : unansweredOf(evidence);
    const trials = bad + answeredOf(edge, evidence);
    if (trials === 0) continue;
    const id = `${names.local.id} ${names.remote.kind} ${names.remote.label}`;
    const sum = sums.get(id) ?? { places: placesOf(names, nodeNameOf(node)), trials: 0, bad: 0 };
    sums.set(id, sum);
    sum.trials += trials;
    sum.bad += bad;
  }
  return [...sums.values()].filter(({ places }) => places.length > 0);
}

function answeredOf({ totals }: Edge, evidence: EdgeEvidence | undefined): number {
  if (evidence === undefined) return totals.get(LATEST.opened);
  return grown(evidence, "opened") + grown(evidence, "failedRefused");
}

/** The places that explain them. */
export function failingPlaces(connects: readonly Observation[]): Suspect[] {
  return localize(connects, { ...CONNECTS, surcharge: (place) => (place.startsWith("pair ") ? LOCALIZE.price : 0) });
}

export function unansweredOf(edge: EdgeEvidence): number {
  if (edge.key.role !== "client") return 0;
  const unreachable = grown(edge, "failedHostUnreachable") + grown(edge, "failedNetUnreachable");
  return grown(edge, "failedTimedOut") + unreachable + abandonedOf(edge);
}

/** An application gives up long before the kernel does: up to the number of SYNs that were sent again. */
export function abandonedOf(edge: EdgeEvidence): number {
  return Math.min(grown(edge, "failedCancelled"), grown(edge, "retransmitsSyn"));
}
