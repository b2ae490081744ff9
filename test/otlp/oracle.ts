/**
 * What a reader may conclude from OTLP points: exact totals of each series, by the rules of OTLP's data
 * model and without knowing anything of flowspan.
 *
 * Cumulative points of one start are one run, whose last value counts. A run that was seen later and
 * starts before an earlier run's last point supersedes what came after its start: OTLP's rule for
 * overlaps, and what makes repeating an exchange safe. Deltas add up; a delta seen later supersedes
 * those that reach into its interval.
 */
import type { Attributes, AttributeValue } from "../../agent/model/attribute.ts";

export interface Point {
  readonly metric: string;
  readonly resource: Attributes;
  readonly attributes: Attributes;
  readonly startUnixNs: bigint;
  readonly timeUnixNs: bigint;
  /** `moment`: gauges and sums that are not monotonic, of which the last value counts. */
  readonly kind: "cumulative" | "delta" | "moment";
  /** A histogram's sum. */
  readonly value: number;
  /** Counts by bucket index; histograms only. */
  readonly buckets?: ReadonlyMap<number, number>;
}

export interface SeriesTotal {
  readonly metric: string;
  readonly resource: Attributes;
  readonly attributes: Attributes;
  readonly value: number;
  /** Histograms: of all values; else 0. */
  readonly count: number;
  readonly buckets: ReadonlyMap<number, number>;
}

/** @param points in the order in which the Collector got them */
export function seriesTotals(points: Iterable<Point>): SeriesTotal[] {
  return [...bySeries(points).values()].map((series) => {
    const { metric, resource, attributes, kind } = series[0] as Point;
    const counted =
      kind === "cumulative" ? lastOfRuns(series) : kind === "delta" ? liveDeltas(series) : series.slice(-1);
    const buckets = new Map<number, number>();
    let value = 0;
    let count = 0;
    for (const point of counted) {
      value += point.value;
      for (const [index, number] of point.buckets ?? []) {
        buckets.set(index, (buckets.get(index) ?? 0) + number);
        count += number;
      }
    }
    return { metric, resource, attributes, value, count, buckets };
  });
}

/** Sum over all series of a metric whose resource and attributes hold everything that `where` names. */
export function total(totals: Iterable<SeriesTotal>, metric: string, where: Attributes = {}): number {
  let sum = 0;
  for (const series of totals) if (series.metric === metric && holds(series, where)) sum += series.value;
  return sum;
}

/** Every point that is smaller than one before it in the same run: there must be none. */
export function backwardPoints(points: Iterable<Point>): Point[] {
  const backward: Point[] = [];
  for (const series of bySeries(points).values()) {
    const runs = new Map<bigint, number>();
    for (const point of series) {
      if (point.kind !== "cumulative") continue;
      if (point.value < (runs.get(point.startUnixNs) ?? 0)) backward.push(point);
      runs.set(point.startUnixNs, point.value);
    }
  }
  return backward;
}

function bySeries(points: Iterable<Point>): Map<string, Point[]> {
  const series = new Map<string, Point[]>();
  for (const point of points) {
    const key = JSON.stringify([point.metric, sorted(point.resource), sorted(point.attributes)]);
    const known = series.get(key);
    if (known === undefined) series.set(key, [point]);
    else known.push(point);
  }
  return series;
}

/** Of each run, its last point that no later run supersedes. */
function lastOfRuns(points: readonly Point[]): Point[] {
  const runs = new Map<bigint, Point[]>();
  for (const point of points) {
    const run = runs.get(point.startUnixNs);
    if (run === undefined) runs.set(point.startUnixNs, [point]);
    else run.push(point);
  }
  const counted: Point[] = [];
  let supersededAfter: bigint | undefined;
  for (const [start, run] of [...runs].reverse()) {
    const limit = supersededAfter;
    const last = run.findLast(({ timeUnixNs }) => limit === undefined || timeUnixNs <= limit);
    if (last !== undefined) counted.push(last);
    if (supersededAfter === undefined || start < supersededAfter) supersededAfter = start;
  }
  return counted;
}

function liveDeltas(points: readonly Point[]): Point[] {
  const counted: Point[] = [];
  let supersededAfter: bigint | undefined;
  for (const point of [...points].reverse()) {
    if (supersededAfter === undefined || point.timeUnixNs <= supersededAfter) counted.push(point);
    if (supersededAfter === undefined || point.startUnixNs < supersededAfter) supersededAfter = point.startUnixNs;
  }
  return counted;
}

function holds({ resource, attributes }: SeriesTotal, where: Attributes): boolean {
  return Object.entries(where).every(([name, value]) => (attributes[name] ?? resource[name]) === value);
}

function sorted(attributes: Attributes): [string, AttributeValue][] {
  return Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
}
