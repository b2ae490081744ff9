/**
 * Segments that were sent again → retransmits, one for each place that loses them. Pure.
 *
 * Up to four intervals in a row are judged together, and the last two must each show the place: one hiccup is none. Where other
 * places explain the losses as well, the place is `unknown` and its candidates are named. This node sees what its own ends send: a
 * peer's node stands for the path to it, too.
 */
import {
  ATTR_FLOWSPAN_FINDING_PLACE,
  ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES,
  ATTR_FLOWSPAN_FINDING_PLACE_EVIDENCE,
  ATTR_FLOWSPAN_FINDING_PLACE_NAME,
  ATTR_FLOWSPAN_FINDING_PLACE_PATHS,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_OTHER,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_FLOWSPAN_TCP_SEGMENTS_SENT,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import { connectionFacts, grown } from "./edge-places.ts";
import type { Candidate, Detector, EdgeEvidence, Path } from "./evidence.ts";
import { LOCALIZE, localize, type Suspect } from "./localize.ts";
import type { Observation } from "./place-model.ts";

type Limits = Parameters<Detector<"retransmits">>[1];

export const detectRetransmits: Detector<"retransmits"> = ({ paths, node }, limits) => {
  const [now, before] = paths;
  if (now === undefined || before === undefined) return [];
  return localize(addUp(paths), { minRate: limits.threshold / 2, surcharge }).map((suspect): Candidate => {
    const here = throughAny(now, suspect);
    const lossy = here.flatMap(({ edges }) => edges);
    const lately = [here, throughAny(before, suspect)];
    const isSeenTwice = lately.every((each) => shareOf(each) >= limits.threshold / 2);
    const lost = sumOf(lately.flat(), (path) => path.lost) * (suspect.rate / (suspect.rate + LOCALIZE.healthyRate));
    return {
      key: suspect.place,
      otherKeys: suspect.alternatives,
      subject: onlyOne(lossy, ({ names }) => names.local.id)?.names.local ?? node(),
      value: suspect.rate,
      holds: isSeenTwice && suspect.rate >= thresholdOf(suspect, limits) && lost >= limits.least,
      counts: {
        [ATTR_FLOWSPAN_TCP_SEGMENTS_SENT]: sumOf(here, ({ segments }) => segments),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT]: sumOf(here, ({ lost }) => lost),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST]: sumOf(lossy, (edge) => grown(edge, "retransmitsFast")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT]: sumOf(lossy, (edge) => grown(edge, "retransmitsTimeout")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE]: sumOf(lossy, (edge) => grown(edge, "retransmitsTlp")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_OTHER]: sumOf(lossy, (edge) => grown(edge, "retransmitsOther")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS]: sumOf(lossy, (edge) => grown(edge, "spurious")),
      },
      facts: { ...placeFacts(suspect, here), ...peerOf(lossy) },
    };
  });
};

/** Each path once. */
function addUp(intervals: readonly (readonly Path[])[]): Observation[] {
  const sums = new Map<string, { readonly places: readonly string[]; trials: number; bad: number }>();
  for (const { id, places, segments, lost } of intervals.flat()) {
    const sum = sums.get(id);
    if (sum === undefined) sums.set(id, { places, trials: segments, bad: lost });
    else {
      sum.trials += segments;
      sum.bad += lost;
    }
  }
  return [...sums.values()];
}

/** A filter or a route of just two ends is rarer than a fault of one of them. */
const surcharge = (place: string) => (place.startsWith("pair ") ? LOCALIZE.price : 0);

/** The paths through the place; where it is not known, through any that it may be. */
function throughAny(paths: readonly Path[], suspect: Suspect): Path[] {
  const names = candidatesOf(suspect).flatMap((each) => each.split(" and "));
  return paths.filter(({ places }) => places.some((place) => names.includes(place)));
}

/** The outside loses a percent on a good day. */
function thresholdOf(suspect: Suspect, { threshold, outside }: Limits): number {
  const isOutside = candidatesOf(suspect).some((each) => /\b(outside|peer_address) /.test(each));
  return isOutside ? outside : threshold;
}

function placeFacts(suspect: Suspect, here: readonly Path[]): Attributes {
  const { place, alternatives, evidence } = suspect;
  const [kind = "", name = ""] = splitOnce(place);
  return {
    ...(alternatives.length === 0
      ? { [ATTR_FLOWSPAN_FINDING_PLACE]: kind, [ATTR_FLOWSPAN_FINDING_PLACE_NAME]: name }
      : {
          [ATTR_FLOWSPAN_FINDING_PLACE]: "unknown",
          [ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES]: candidatesOf(suspect),
        }),
    [ATTR_FLOWSPAN_FINDING_PLACE_EVIDENCE]: evidence,
    [ATTR_FLOWSPAN_FINDING_PLACE_PATHS]: here.filter(({ lost }) => lost > 0).length,
  };
}

/** Who is at the other end, where all that lost something have one peer, or at least peers of one node. */
function peerOf(lossy: readonly EdgeEvidence[]): Attributes {
  const edge = onlyOne(lossy, ({ key }) => `${key.role} ${key.serverPort} ${key.remoteAddress}`);
  if (edge !== undefined) return connectionFacts(edge);
  const node = onlyOne(lossy, ({ names }) => names.remote.nodeName)?.names.remote.nodeName;
  return node === undefined ? {} : { [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: node };
}

function candidatesOf({ place, alternatives }: Suspect): string[] {
  return [place, ...alternatives];
}

function onlyOne(
  edges: readonly EdgeEvidence[],
  of: (edge: EdgeEvidence) => string | undefined,
): EdgeEvidence | undefined {
  const [first, ...others] = edges;
  return first !== undefined && others.every((edge) => of(edge) === of(first)) ? first : undefined;
}

function shareOf(paths: readonly Path[]): number {
  const lost = sumOf(paths, (path) => path.lost);
  return lost === 0 ? 0 : lost / sumOf(paths, ({ segments }) => segments);
}

function sumOf<T>(list: readonly T[], of: (each: T) => number): number {
  return list.reduce((sum, each) => sum + of(each), 0);
}

function splitOnce(place: string): [string, string] {
  const space = place.indexOf(" ");
  return [place.slice(0, space), place.slice(space + 1)];
}
