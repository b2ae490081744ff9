/**
 * Points of any metrics and Resources → requests, through the stock serializer.
 *
 * For what is not many: flows have an encoder of their own. A request is one ResourceMetrics behind the other, since the bytes of
 * a repeated field may be put together.
 */
import { type Attributes as StockAttributes, ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { Temporality } from "../model/flow.ts";
import type { NumberPoint } from "../model/point.ts";
import type { InstrumentationScope } from "./plan.ts";

/** Some 300 bytes each: well below what a Collector takes. */
const POINTS_PER_REQUEST = 2_000;

export interface PointRequest<Point extends NumberPoint> {
  readonly bytes: Uint8Array;
  readonly points: readonly Point[];
}

export function* pointRequests<Point extends NumberPoint>(
  points: readonly Point[],
  scope: InstrumentationScope,
  temporality: Temporality,
): Generator<PointRequest<Point>> {
  for (let at = 0; at < points.length; at += POINTS_PER_REQUEST) {
    const some = points.slice(at, at + POINTS_PER_REQUEST);
    const parts = [...grouped(some, ({ resource }) => resource.id).values()].map((ofResource) =>
      serialize(resourceMetrics(ofResource, scope, temporality)),
    );
    yield { bytes: new Uint8Array(Buffer.concat(parts)), points: some };
  }
}

function serialize(metrics: ResourceMetrics): Uint8Array {
  const bytes = ProtobufMetricsSerializer.serializeRequest(metrics);
  if (bytes === undefined) throw new Error("the stock serializer made no bytes of points");
  return bytes;
}

function resourceMetrics(
  points: readonly NumberPoint[],
  scope: InstrumentationScope,
  temporality: Temporality,
): ResourceMetrics {
  const [first] = points as readonly [NumberPoint];
  const metrics = [...grouped(points, ({ metric }) => metric.name).values()].map((ofMetric) =>
    metricData(ofMetric, temporality),
  );
  return {
    resource: resourceFromAttributes({ ...first.resource.attributes } as StockAttributes),
    scopeMetrics: [{ scope, metrics }],
  };
}

function metricData(points: readonly NumberPoint[], temporality: Temporality): MetricData {
  const [{ metric }] = points as readonly [NumberPoint];
  const dataPoints = points.map(({ startUnixNs, timeUnixNs, attributes, value }) => ({
    startTime: hrTime(startUnixNs),
    endTime: hrTime(timeUnixNs),
    attributes: { ...attributes } as StockAttributes,
    value,
  }));
  const { name, unit, description } = metric;
  const common = {
    descriptor: { name, unit, description, valueType: ValueType.INT },
    aggregationTemporality: temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
    dataPoints,
  };
  if (metric.instrument === "gauge") return { ...common, dataPointType: DataPointType.GAUGE };
  return { ...common, dataPointType: DataPointType.SUM, isMonotonic: metric.instrument === "counter" };
}

function hrTime(ns: bigint): [number, number] {
  return [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
}

function grouped<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
