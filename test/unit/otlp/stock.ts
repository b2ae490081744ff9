/**
 * The same flows through the stock serializer: what its bytes mean is what ours must mean.
 *
 * It takes one Resource a call; protobuf makes the concatenation of requests one request with all of
 * their resources, so that a request of many Resources has a stock counterpart too.
 */
import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Flow, HistogramForm, Temporality } from "../../../agent/model/flow.ts";
import type { FlowMetric, FlowPoint } from "../../../agent/model/metric.ts";
import { EXPLICIT_BOUNDS } from "../../../agent/otlp/explicit.ts";
import { SCOPE } from "./flows.ts";

export function stockBytes(
  flows: readonly Flow[],
  metrics: readonly FlowMetric[],
  temporality: Temporality,
  form: HistogramForm = "exponential",
): Uint8Array {
  const resources = [...new Map(flows.map((flow) => [flow.resource.id, flow.resource])).values()];
  const requests = resources.flatMap((resource) => {
    const own = flows.filter((flow) => flow.resource.id === resource.id);
    const data = metrics
      .map((metric) => metricData(metric, own, temporality, form))
      .filter((one) => one.dataPoints.length > 0);
    if (data.length === 0) return [];
    const value: ResourceMetrics = {
      resource: resourceFromAttributes(resource.attributes as Record<string, string>),
      scopeMetrics: [{ scope: SCOPE, metrics: data }],
    };
    return [ProtobufMetricsSerializer.serializeRequest(value) as Uint8Array];
  });
  return Buffer.concat(requests);
}

function metricData(
  { metric, roles, points }: FlowMetric,
  flows: readonly Flow[],
  temporality: Temporality,
  form: HistogramForm,
): MetricData {
  const own = roles.flatMap((role) => flows.filter((flow) => flow.role === role));
  const dataPoints = own.flatMap((flow) =>
    points.filter((point) => emitted(flow, point)).map((p) => dataPoint(flow, p, form)),
  );
  const scaled = points.some((point) => "counter" in point.from && point.from.scale !== undefined);
  const aggregationTemporality =
    temporality === "delta" && metric.instrument !== "updowncounter"
      ? AggregationTemporality.DELTA
      : AggregationTemporality.CUMULATIVE;
  return {
    descriptor: { ...metric, valueType: scaled ? ValueType.DOUBLE : ValueType.INT },
    dataPointType: {
      counter: DataPointType.SUM,
      updowncounter: DataPointType.SUM,
      gauge: DataPointType.GAUGE,
      histogram: form === "explicit" ? DataPointType.HISTOGRAM : DataPointType.EXPONENTIAL_HISTOGRAM,
    }[metric.instrument],
    aggregationTemporality,
    isMonotonic: metric.instrument === "counter",
    dataPoints: dataPoints.map((point) =>
      metric.instrument === "updowncounter" && temporality === "delta" ? { ...point, startTime: [0, 0] } : point,
    ),
  } as unknown as MetricData;
}

function emitted(flow: Flow, { emit, from }: FlowPoint): boolean {
  if (emit === "always") return true;
  if ("histogram" in from) return flow[from.histogram].buckets.length > 0;
  return numberOf(flow, from) !== 0;
}

function dataPoint(flow: Flow, { attributes, from }: FlowPoint, form: HistogramForm) {
  const histogram = form === "explicit" ? explicit : exponential;
  return {
    startTime: hrTime(flow.startUnixNs),
    endTime: hrTime(flow.timeUnixNs),
    attributes: { ...flow.attributes, ...attributes },
    value: "histogram" in from ? histogram(flow, from.histogram) : numberOf(flow, from),
  };
}

function numberOf(flow: Flow, from: Exclude<FlowPoint["from"], { histogram: unknown }>): number {
  if ("gauge" in from) return flow[from.gauge];
  const value = flow.counters[EDGE_COUNTERS.indexOf(from.counter)] as number;
  return from.scale === undefined ? value : value / Math.round(1 / from.scale);
}

/** Bucket i in microseconds is bucket 2i - 159 at scale 3 in seconds (agent/otlp/exponential.ts). */
function exponential(flow: Flow, name: "handshake" | "rtt" | "duration") {
  const { buckets, sumUs } = flow[name];
  const counts = new Map<number, number>();
  for (let i = 0; i < buckets.length; i += 2) counts.set(buckets[i] as number, buckets[i + 1] as number);
  const used = [...counts.keys()];
  const first = used[0] ?? 0;
  const last = used.at(-1) ?? -1;
  const bucketCounts: number[] = [];
  for (let slot = first; slot <= last; slot++) {
    if (slot > first) bucketCounts.push(0);
    bucketCounts.push(counts.get(slot) ?? 0);
  }
  return {
    count: [...counts.values()].reduce((sum, count) => sum + count, 0),
    sum: sumUs / 1_000_000,
    scale: 3,
    zeroCount: 0,
    positive: { offset: used.length === 0 ? 0 : 2 * first - 159, bucketCounts },
    negative: { offset: 0, bucketCounts: [] },
  };
}

/** Each kernel bucket ends at 2^((slot + 1) / 4) µs, and counts go where a bound is not below that. */
function explicit(flow: Flow, name: "handshake" | "rtt" | "duration") {
  const { buckets, sumUs } = flow[name];
  const boundaries = [...EXPLICIT_BOUNDS[name].seconds];
  const counts = new Array(boundaries.length + 1).fill(0);
  for (let i = 0; i < buckets.length; i += 2) {
    const endUs = 2 ** (((buckets[i] as number) + 1) / 4);
    const bucket = boundaries.findIndex((bound) => endUs <= bound * 1e6 * (1 + 1e-9));
    counts[bucket < 0 ? boundaries.length : bucket] += buckets[i + 1] as number;
  }
  const count = counts.reduce((sum, one) => sum + one, 0);
  return { count, sum: sumUs / 1_000_000, buckets: { boundaries, counts } };
}

function hrTime(ns: bigint): [number, number] {
  return [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
}
