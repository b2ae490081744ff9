/**
 * Segments that were sent again → retransmits, one for each place that loses them. Pure.
 *
 * Up to four intervals in a row are judged together. Two of them must show the place, and so must each of the last two where enough
 * passed it: one hiccup is none. Losses come in bursts, so those of one path in one interval count as few events: test/accuracy/false-alarms.ts has how
 * often chance alone makes a finding. Where other places explain the losses as well, the place is `unknown` and its candidates are
 * named. This node sees what its own ends send: a peer's node stands for the path to it, too.
 */
import {
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
import { candidatesOf, mayPass, placeFacts } from "./place-facts.ts";
import type { Observation } from "./place-model.ts";

type Limits = Parameters<Detector<"retransmits">>[1];

export const detectRetransmits: Detector<"retransmits"> = ({ paths, node }, limits) => {
  const [now] = paths;
  if (now === undefined || paths.length < 2) return [];
  const isOver = isFading(paths);
  return localize(addUp(paths), { minRate: limits.threshold / 2, surcharge }).map((suspect): Candidate => {
    const here = throughAny(now, suspect);
    const lossy = here.flatMap(({ edges }) => edges);
    const through = [here, ...paths.slice(1).map((each) => throughAny(each, suspect))];
    const lately = through.slice(0, 2);
    const isStillThere =
      shareOf(lately.flat()) >= limits.threshold / 2 && !lately.some((each) => isWell(each, suspect, limits));
    return {
      key: suspect.place,
      otherKeys: suspect.alternatives,
      subject: onlyOne(lossy, ({ names }) => names.local.id)?.names.local ?? node(),
      value: suspect.rate,
      holds:
        isStillThere && !isOver && suspect.rate >= thresholdOf(suspect, limits) && isNoChance(suspect, through, limits),
      // What is named at all is likelier than chance: half of the threshold is enough for what has been found.
      goesOn: isStillThere && suspect.rate >= thresholdOf(suspect, limits) / 2,
      counts: {
        [ATTR_FLOWSPAN_TCP_SEGMENTS_SENT]: sumOf(here, ({ segments }) => segments),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT]: sumOf(here, ({ lost }) => lost),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST]: sumOf(lossy, (edge) => grown(edge, "retransmitsFast")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT]: sumOf(lossy, (edge) => grown(edge, "retransmitsTimeout")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE]: sumOf(lossy, (edge) => grown(edge, "retransmitsTlp")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_OTHER]: sumOf(lossy, (edge) => grown(edge, "retransmitsOther")),
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS]: sumOf(lossy, (edge) => grown(edge, "spurious")),
      },
      facts: {
        ...placeFacts(suspect),
        [ATTR_FLOWSPAN_FINDING_PLACE_PATHS]: here.filter(({ lost }) => lost > 0).length,
        ...peerOf(lossy),
      },
    };
  });
};

/** Whether an interval shows that the place loses nothing: some would have been lost of what passed it. */
function isWell(paths: readonly Path[], { rate }: Suspect, { threshold }: Limits): boolean {
  const segments = sumOf(paths, (path) => path.segments);
  return shareOf(paths) < threshold / 2 && (segments === 0 || segments * rate >= SURELY);
}

/** Of so many expected losses none happens in an interval of 20. */
const SURELY = 3;

/**
 * Whether the newest interval loses less than half of what the window does, all places together. A fault that ends leaves healthy traffic in
 * the window, of some paths more than of others, and looks like other places. So nothing new is named then.
 */
function isFading(intervals: readonly (readonly Path[])[]): boolean {
  const [now = []] = intervals;
  const rate = shareOf(intervals.flat());
  return sumOf(now, ({ segments }) => segments) * rate >= MANY && shareOf(now) < rate / 2;
}

/** Of so many expected losses less than half happen in an interval of 30. */
const MANY = 10;

/** Lost segments of one path in one interval that may be one event. */
export const BURST = 4;
/** Events, at least. */
export const EVENTS = 4;

/** @param through the paths through the place, by interval */
function isNoChance({ rate, evidence }: Suspect, through: readonly (readonly Path[])[], limits: Limits): boolean {
  const lost = sumOf(through.flat(), (path) => path.lost) * (rate / (rate + LOCALIZE.healthyRate));
  const events = sumOf(through.flat(), (path) => Math.ceil(path.lost / BURST));
  const intervals = through.filter((each) => each.some((path) => path.lost > 0)).length;
  return lost >= limits.least && evidence >= limits.evidence && events >= EVENTS && intervals >= 2;
}

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
  return paths.filter(({ places }) => mayPass(suspect, places));
}

/** The outside loses a percent on a good day. */
function thresholdOf(suspect: Suspect, { threshold, outside }: Limits): number {
  const isOutside = candidatesOf(suspect).some((each) => /\b(outside|peer_address) /.test(each));
  return isOutside ? outside : threshold;
}

/** Who is at the other end, where all that lost something have one peer, or at least peers of one node. */
function peerOf(lossy: readonly EdgeEvidence[]): Attributes {
  const edge = onlyOne(lossy, ({ key }) => `${key.role} ${key.serverPort} ${key.remoteAddress}`);
  if (edge !== undefined) return connectionFacts(edge);
  const node = onlyOne(lossy, ({ names }) => names.remote.nodeName)?.names.remote.nodeName;
  return node === undefined ? {} : { [ATTR_FLOWSPAN_PEER_K8S_NODE_NAME]: node };
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
