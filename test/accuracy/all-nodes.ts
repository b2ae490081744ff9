/**
 * What all agents counted of the traffic → the places of the cluster that lose segments: the same method that each agent uses for its
 * own node (agent/findings/localize.ts), on everything. Pure.
 */
import { LOCALIZE, localize, type Suspect } from "../../agent/findings/localize.ts";
import type { Observation } from "../../agent/findings/place-model.ts";
import {
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_PEER_NAME,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS,
  METRIC_FLOWSPAN_TCP_SEGMENTS,
} from "../../agent/generated/semconv.ts";
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import { nodeOf, PODS } from "./scenario.ts";

/** Neither tells of a loss: a full accept queue, and segments that were too large. */
const NO_LOSS: ReadonlySet<unknown> = new Set(["syn", "non_congestion"]);

/**
 * @param points cumulative, in order of time
 * @param fromUnixNs growth after this counts, up to `untilUnixNs`
 * @returns `node node-2`, `link node-1 node-2`, `pod n1p1`, `pair n1p1 n2p1`
 */
export function suspectsOfAll(points: readonly ReceivedPoint[], fromUnixNs: bigint, untilUnixNs: bigint): Suspect[] {
  const counted = new Map<string, { segments: number; lost: number }>();
  for (const [series, growth] of growthOf(points, fromUnixNs, untilUnixNs)) {
    const [metric, from, to] = series.split(" ") as [string, string, string];
    const key = `${from} ${to}`;
    const sum = counted.get(key) ?? { segments: 0, lost: 0 };
    counted.set(key, sum);
    if (metric === METRIC_FLOWSPAN_TCP_SEGMENTS.name) sum.segments += growth;
    else sum.lost += metric === METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS.name ? -growth : growth;
  }
  const observations = [...counted].map(([key, { segments, lost }]): Observation => {
    const [from, to] = key.split(" ") as [string, string];
    return { places: placesBetween(from, to), trials: Math.max(segments, lost), bad: Math.max(0, lost) };
  });
  const surcharge = (place: string) => (place.startsWith("pair ") ? LOCALIZE.price : 0);
  return localize(observations, { surcharge });
}

/** By metric, sender and receiver: what each series has grown by. */
function growthOf(points: readonly ReceivedPoint[], fromUnixNs: bigint, untilUnixNs: bigint): Map<string, number> {
  const series = new Map<string, { readonly name: string; before: number; now: number }>();
  for (const point of points) {
    const { metric, attributes, resource, timeUnixNs, value } = point;
    const from = String(resource[ATTR_SERVICE_NAME]);
    const to = String(attributes[ATTR_SERVICE_PEER_NAME]);
    if (timeUnixNs > untilUnixNs || !isOfLoss(point) || !PODS.includes(from) || !PODS.includes(to)) continue;
    const key = JSON.stringify([metric, resource, attributes]);
    const known = series.get(key) ?? { name: `${metric} ${from} ${to}`, before: 0, now: 0 };
    series.set(key, known);
    known.now = value;
    if (timeUnixNs <= fromUnixNs) known.before = value;
  }
  const growth = new Map<string, number>();
  for (const { name, before, now } of series.values()) growth.set(name, (growth.get(name) ?? 0) + now - before);
  return growth;
}

function isOfLoss({ metric, attributes }: ReceivedPoint): boolean {
  switch (metric) {
    case METRIC_FLOWSPAN_TCP_SEGMENTS.name:
      return attributes[ATTR_NETWORK_IO_DIRECTION] === "transmit";
    case METRIC_FLOWSPAN_TCP_RETRANSMITS.name:
      return !NO_LOSS.has(attributes[ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE]);
    default:
      return metric === METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS.name;
  }
}

function placesBetween(from: string, to: string): string[] {
  const pods = [`pod ${from}`, `pod ${to}`, `pair ${[from, to].sort().join(" ")}`];
  const [a, b] = [nodeOf(from), nodeOf(to)];
  // Traffic within a node uses none of its devices.
  return a === b ? pods : [...pods, `node ${a}`, `node ${b}`, linkOf(a, b)];
}

export function linkOf(a: string, b: string): string {
  return `link ${[a, b].sort().join(" ")}`;
}
