/**
 * Flows → OTLP points as JSON lines, for people and scripts that replay a recording.
 *
 * Names are those of OTLP's JSON encoding, with the Resource on every line. Keys stand in a fixed order
 * and nothing is rounded, so that two runs can be compared as text.
 */

import { AT } from "../../edges/counters.ts";
import type { Flow, Histogram, HistogramForm, Temporality } from "../../model/flow.ts";
import type { FlowMetric, FlowPoint } from "../../model/metric.ts";
import type { NumberPoint } from "../../model/point.ts";
import { EXPLICIT_BOUNDS, explicitCounts } from "../../otlp/explicit.ts";
import { SECONDS_SCALE, secondsIndex, spanOf } from "../../otlp/exponential.ts";
import { FLOW_METRICS } from "../../series/instruments.ts";
import { sorted } from "./sorted.ts";

export function flowLines(flow: Flow, temporality: Temporality, form: HistogramForm = "exponential"): string[] {
  return FLOW_METRICS.filter(({ roles }) => roles.includes(flow.role)).flatMap((metric) =>
    metric.points.flatMap((point) => {
      const value = pointValue(flow, point, form);
      return value === undefined ? [] : [JSON.stringify({ ...pointHead(flow, metric, point, temporality), ...value })];
    }),
  );
}

function pointHead(flow: Flow, { metric }: FlowMetric, point: FlowPoint, temporality: Temporality): object {
  const { name, unit, instrument } = metric;
  return {
    name,
    unit,
    instrument,
    ...(instrument === "counter" || instrument === "histogram" ? { aggregationTemporality: temporality } : {}),
    resource: sorted(flow.resource.attributes),
    attributes: sorted({ ...flow.attributes, ...point.attributes }),
    ...(instrument === "gauge" ? {} : { startTimeUnixNano: String(flow.startUnixNs) }),
    timeUnixNano: String(flow.timeUnixNs),
  };
}

/** @returns undefined where the point is left out */
function pointValue(flow: Flow, { from, emit }: FlowPoint, form: HistogramForm): object | undefined {
  if ("histogram" in from) {
    const { histogram: name } = from;
    const histogram = form === "explicit" ? explicitValue(flow[name], name) : histogramValue(flow[name]);
    return histogram.count === 0 && emit === "nonzero" ? undefined : histogram;
  }
  const value = "gauge" in from ? flow[from.gauge] : (flow.counters[AT[from.counter]] as number) * (from.scale ?? 1);
  return value === 0 && emit === "nonzero" ? undefined : { value };
}

function explicitValue({ buckets, sumUs }: Histogram, name: keyof typeof EXPLICIT_BOUNDS) {
  const bounds = EXPLICIT_BOUNDS[name];
  const bucketCounts = explicitCounts({ pairs: buckets, length: buckets.length }, bounds);
  return { count: spanOf(buckets).count, sum: sumUs / 1e6, bucketCounts, explicitBounds: bounds.seconds };
}

function histogramValue({ buckets, sumUs }: Histogram) {
  const { first, count } = spanOf(buckets);
  const offset = count === 0 ? 0 : secondsIndex(first);
  const bucketCounts: number[] = [];
  for (let i = 0; i < buckets.length; i += 2) {
    const index = secondsIndex(buckets[i] as number);
    while (offset + bucketCounts.length < index) bucketCounts.push(0);
    bucketCounts.push(buckets[i + 1] as number);
  }
  return { count, sum: sumUs / 1e6, scale: SECONDS_SCALE, positive: { offset, bucketCounts } };
}

/** A point of evidence, as a line of the same form. */
export function pointLine(point: NumberPoint, temporality: Temporality): string {
  const { metric, resource, attributes, startUnixNs, timeUnixNs, value } = point;
  const { name, unit, instrument } = metric;
  return JSON.stringify({
    name,
    unit,
    instrument,
    ...(instrument === "counter" ? { aggregationTemporality: temporality } : {}),
    resource: sorted(resource.attributes),
    attributes: sorted(attributes),
    ...(instrument === "gauge" ? {} : { startTimeUnixNano: String(startUnixNs) }),
    timeUnixNano: String(timeUnixNs),
    value,
  });
}
