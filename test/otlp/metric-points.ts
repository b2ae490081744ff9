/**
 * Metric requests, as bytes or as OTLP/JSON, as plain points: one reading for receivers of tests and the Collector's files.
 */
import type { Attributes } from "../../agent/model/attribute.ts";
import type { Point } from "./oracle.ts";
import {
  attributesOf,
  type JsonExemplar,
  type JsonMetric,
  type JsonMetricRequest,
  type JsonPoint,
} from "./otlp-json.ts";
import { metricRequestOf } from "./protobuf.ts";

/** A point as oracle.ts reads it, and what else an OTLP point says. */
export interface ReceivedPoint extends Point {
  readonly scope: string;
  readonly unit: string;
  readonly instrument: "gauge" | "sum" | "histogram" | "exponential_histogram";
  /** Of a histogram. */
  readonly scale: number | undefined;
  readonly count: number | undefined;
  readonly exemplars: readonly ReceivedExemplar[];
}

export interface ReceivedExemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly timeUnixNs: bigint;
  readonly value: number;
}

/** @param bytes an ExportMetricsServiceRequest */
export function decodeMetrics(bytes: Uint8Array): ReceivedPoint[] {
  return pointsOf(metricRequestOf(bytes));
}

/** Points of a whole file of the Collector's file exporter. A last line that is still being written is left out. */
export function pointsOfFile(text: string): ReceivedPoint[] {
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => pointsOf(JSON.parse(line) as JsonMetricRequest));
}

export function pointsOf({ resourceMetrics = [] }: JsonMetricRequest): ReceivedPoint[] {
  const points: ReceivedPoint[] = [];
  for (const { resource, scopeMetrics = [] } of resourceMetrics) {
    const about = attributesOf(resource?.attributes);
    for (const { scope, metrics = [] } of scopeMetrics)
      for (const metric of metrics) {
        const data = metric.sum ?? metric.histogram ?? metric.exponentialHistogram ?? metric.gauge;
        for (const point of data?.dataPoints ?? []) points.push(pointOf(metric, point, about, scope?.name ?? ""));
      }
  }
  return points;
}

function pointOf(metric: JsonMetric, point: JsonPoint, resource: Attributes, scope: string): ReceivedPoint {
  const { sum, exponentialHistogram } = metric;
  const histogram = metric.histogram ?? exponentialHistogram;
  const isMoment = histogram === undefined && sum?.isMonotonic !== true;
  const isHistogram = histogram !== undefined;
  const { aggregationTemporality } = sum ?? histogram ?? {};
  return {
    metric: metric.name,
    resource,
    attributes: attributesOf(point.attributes),
    startUnixNs: BigInt(point.startTimeUnixNano ?? 0),
    timeUnixNs: BigInt(point.timeUnixNano ?? 0),
    kind: isMoment ? "moment" : aggregationTemporality === 1 ? "delta" : "cumulative",
    value: Number(point.asInt ?? point.asDouble ?? point.sum ?? 0),
    ...(isHistogram && { buckets: bucketsOf(point) }),
    scope,
    unit: metric.unit ?? "",
    instrument: isHistogram
      ? exponentialHistogram === undefined
        ? "histogram"
        : "exponential_histogram"
      : sum === undefined
        ? "gauge"
        : "sum",
    scale: exponentialHistogram !== undefined ? (point.scale ?? 0) : undefined,
    count: isHistogram ? Number(point.count ?? 0) : undefined,
    exemplars: (point.exemplars ?? []).map(exemplarOf),
  };
}

function exemplarOf({ traceId, spanId, timeUnixNano = "0", asInt, asDouble }: JsonExemplar): ReceivedExemplar {
  return { traceId, spanId, timeUnixNs: BigInt(timeUnixNano), value: Number(asInt ?? asDouble ?? 0) };
}

/** By index at the point's scale; of explicit buckets by their place in the point. */
function bucketsOf({ positive, zeroCount = 0, bucketCounts = [] }: JsonPoint): Map<number, number> {
  const explicit = bucketCounts.flatMap((count, i) => (Number(count) > 0 ? [[i, Number(count)] as const] : []));
  if (explicit.length > 0) return new Map(explicit);
  const buckets = new Map<number, number>();
  // Zeros have no bucket of their own in this map: ours go to the smallest.
  if (Number(zeroCount) > 0) buckets.set(Number.NEGATIVE_INFINITY, Number(zeroCount));
  for (const [i, count] of (positive?.bucketCounts ?? []).entries()) {
    if (Number(count) > 0) buckets.set((positive?.offset ?? 0) + i, Number(count));
  }
  return buckets;
}
