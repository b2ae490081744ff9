/**
 * Cumulative points of the SDK → deltas since what the Collector has accepted last, so that a request that fails loses
 * nothing. The SDK's own deltas are since the last collection, accepted or not.
 *
 * What goes up and down has no growth, and stays as it is. With low memory observable sums stay too: all of ours are. Holds one point a series.
 */
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type ExponentialHistogram,
  type Histogram,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";

export interface Growth {
  readonly metrics: ResourceMetrics;
  /** The Collector has taken it: what comes next is since then. */
  readonly accept: () => void;
}

type Value = number | ExponentialHistogram | Histogram;
type Buckets = ExponentialHistogram["positive"];

export class Deltas {
  readonly #preference: "delta" | "low_memory";
  readonly #accepted = new Map<string, DataPoint<Value>>();

  constructor(preference: "delta" | "low_memory" = "delta") {
    this.#preference = preference;
  }

  /** @param metrics cumulative; neither kept nor changed, but for its points */
  since(metrics: ResourceMetrics): Growth {
    const seen = new Map<string, DataPoint<Value>>();
    const scopeMetrics = metrics.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.map((metric) => this.#growthOf(metric, seen)),
    }));
    const accept = () => {
      for (const [series, point] of seen) this.#accepted.set(series, point);
    };
    return { metrics: { ...metrics, scopeMetrics }, accept };
  }

  #growthOf(metric: MetricData, seen: Map<string, DataPoint<Value>>): MetricData {
    const since = <V extends Value>(points: readonly DataPoint<V>[], less: (now: V, before: V) => V) =>
      points.map((point) => {
        const series = seriesOf(metric.descriptor.name, point);
        const before = this.#accepted.get(series) as DataPoint<V> | undefined;
        seen.set(series, point);
        if (before === undefined) return point;
        return { ...point, startTime: before.endTime, value: less(point.value, before.value) };
      });
    const delta = { aggregationTemporality: AggregationTemporality.DELTA };
    if (metric.dataPointType === DataPointType.SUM && metric.isMonotonic && this.#preference === "delta")
      return { ...metric, ...delta, dataPoints: since(metric.dataPoints, (now, before) => now - before) };
    if (metric.dataPointType === DataPointType.HISTOGRAM) {
      const explicit = since(metric.dataPoints, explicitLess).filter(({ value }) => value.count > 0);
      return { ...metric, ...delta, dataPoints: explicit };
    }
    if (metric.dataPointType !== DataPointType.EXPONENTIAL_HISTOGRAM) return metric;
    const grown = since(metric.dataPoints, histogramLess).filter(({ value }) => value.count > 0);
    return { ...metric, ...delta, dataPoints: grown };
  }
}

function seriesOf(name: string, { attributes }: DataPoint<Value>): string {
  return JSON.stringify([name, ...Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** Bounds are the same for ever. Smallest and largest value are of all, so they are left out. */
function explicitLess(now: Histogram, before: Histogram): Histogram {
  const { boundaries, counts } = now.buckets;
  return {
    count: now.count - before.count,
    sum: (now.sum ?? 0) - (before.sum ?? 0),
    buckets: { boundaries, counts: counts.map((count, i) => count - (before.buckets.counts[i] ?? 0)) },
  };
}

/** The scale of what only grows can only shrink. Smallest and largest value are of all, so they are left out. */
function histogramLess(now: ExponentialHistogram, before: ExponentialHistogram): ExponentialHistogram {
  const shift = before.scale - now.scale;
  return {
    count: now.count - before.count,
    sum: (now.sum ?? 0) - (before.sum ?? 0),
    scale: now.scale,
    zeroCount: now.zeroCount - before.zeroCount,
    positive: bucketsLess(now.positive, before.positive, shift),
    negative: bucketsLess(now.negative, before.negative, shift),
  };
}

function bucketsLess(now: Buckets, before: Buckets, shift: number): Buckets {
  const bucketCounts = [...now.bucketCounts];
  for (const [i, count] of before.bucketCounts.entries()) {
    const at = ((before.offset + i) >> shift) - now.offset;
    if (count > 0) bucketCounts[at] = (bucketCounts[at] ?? 0) - count;
  }
  return { offset: now.offset, bucketCounts };
}
