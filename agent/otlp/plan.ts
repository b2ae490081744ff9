/**
 * The table of metrics, made ready for encoding: everything that is the same in every request as bytes.
 *
 * Made once, when the agent starts. A table that cannot be encoded is refused here, by the metric's name.
 */
import { EDGE_COUNTERS } from "../generated/layout.ts";
import type { Role } from "../model/edge.ts";
import type { HistogramForm, Temporality } from "../model/flow.ts";
import type { FlowMetric, FlowPoint } from "../model/metric.ts";
import { encodeAttributes, NUMBER_ATTRIBUTE_TAG } from "./attribute-bytes.ts";
import { EXPLICIT_BOUNDS, type ExplicitBounds } from "./explicit.ts";
import { encodeMessage, encodeText } from "./wire.ts";

export interface InstrumentationScope {
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
}

type HistogramName = "handshake" | "rtt" | "duration";

export interface NumberPoint {
  readonly attributes: Uint8Array;
  /** Place in EDGE_COUNTERS, or -1 for a gauge. */
  readonly counter: number;
  readonly gauge: "open" | "limit";
  /** What a counter is divided by: exact to a double's rounding where its factor would not be. 0: an int. */
  readonly divisor: number;
  readonly always: boolean;
  readonly takesRetransmitExemplars: boolean;
}

export interface HistogramPoint {
  readonly attributes: Uint8Array;
  readonly histogram: HistogramName;
  /** Place of its sum in EDGE_COUNTERS. */
  readonly sum: number;
  /** Of explicit buckets; undefined: exponential. */
  readonly bounds: ExplicitBounds | undefined;
  readonly always: boolean;
}

/** One Metric as far as it is the same in every request. */
export interface MetricPlan {
  /** Name, description and unit as they stand in Metric. */
  readonly header: Uint8Array;
  /** Tag of Metric's field gauge, sum, histogram or exponential_histogram. */
  readonly dataTag: number;
  /** What follows the points: temporality and monotonicity. */
  readonly tail: Uint8Array;
  readonly startTime: boolean;
  readonly numbers: readonly OfRole<NumberPoint>[];
  readonly histograms: readonly OfRole<HistogramPoint>[];
}

/** The points of one Metric that flows of a role have. */
export interface OfRole<Point> {
  readonly role: Role;
  readonly points: readonly Point[];
}

/** All points that a flow of one role may have, whatever metric they belong to. */
export interface RolePoints {
  readonly numbers: readonly NumberPoint[];
  readonly histograms: readonly HistogramPoint[];
}

/** One plan a metric name: entries of the table that share a descriptor become one Metric. */
export function planMetrics(
  metrics: readonly FlowMetric[],
  temporality: Temporality,
  form: HistogramForm = "exponential",
): MetricPlan[] {
  const byName = new Map<string, FlowMetric[]>();
  for (const metric of metrics) {
    const same = byName.get(metric.metric.name);
    if (same === undefined) byName.set(metric.metric.name, [metric]);
    else same.push(metric);
  }
  return [...byName.values()].map((entries) => planMetric(entries, temporality, form));
}

function planMetric(entries: readonly FlowMetric[], temporality: Temporality, form: HistogramForm): MetricPlan {
  const descriptor = (entries[0] as FlowMetric).metric;
  const { instrument } = descriptor;
  const isHistogram = instrument === "histogram";
  for (const point of entries.flatMap((entry) => entry.points)) {
    if ("histogram" in point.from !== isHistogram) {
      throw new TypeError(
        `${descriptor.name} is a ${instrument}, but one of its points is read from ${JSON.stringify(point.from)}`,
      );
    }
  }
  const perRole = entries.flatMap(({ roles, points }) => roles.map((role) => ({ role, points })));
  return {
    header: encodeDescriptor(descriptor.name, descriptor.description, descriptor.unit),
    dataTag: { gauge: 0x2a, counter: 0x3a, updowncounter: 0x3a, histogram: form === "explicit" ? 0x4a : 0x52 }[
      instrument
    ],
    tail: encodeTail(instrument, temporality),
    // A sum of the moment (open connections) has no start of its own among deltas: unknown, not wrong.
    startTime: !(instrument === "updowncounter" && temporality === "delta"),
    numbers: isHistogram ? [] : perRole.map(({ role, points }) => ({ role, points: points.map(planNumber) })),
    histograms: isHistogram
      ? perRole.map(({ role, points }) => ({ role, points: points.map((point) => planHistogram(point, form)) }))
      : [],
  };
}

function planNumber({ attributes, from, emit }: FlowPoint): NumberPoint {
  const counter = "counter" in from ? from.counter : undefined;
  const scale = "counter" in from ? from.scale : undefined;
  return {
    attributes: encodeAttributes(attributes, NUMBER_ATTRIBUTE_TAG),
    counter: counter === undefined ? -1 : EDGE_COUNTERS.indexOf(counter),
    gauge: "gauge" in from ? from.gauge : "open",
    divisor: scale === undefined ? 0 : divisorOf(scale),
    always: emit === "always",
    takesRetransmitExemplars: counter?.startsWith("retransmits") ?? false,
  };
}

function planHistogram({ attributes, from, emit }: FlowPoint, form: HistogramForm): HistogramPoint {
  if (!("histogram" in from)) throw new TypeError("not a histogram");
  const { histogram } = from;
  const sum = EDGE_COUNTERS.indexOf(`${histogram}Us`);
  return {
    attributes: encodeAttributes(attributes, NUMBER_ATTRIBUTE_TAG),
    ...{ histogram, sum, always: emit === "always" },
    bounds: form === "explicit" ? EXPLICIT_BOUNDS[histogram] : undefined,
  };
}

/** 1e-6 is no double, 1e6 is: dividing by it rounds once. */
function divisorOf(scale: number): number {
  const inverse = Math.round(1 / scale);
  return 1 / inverse === scale ? inverse : 1 / scale;
}

/** aggregation_temporality (1 delta, 2 cumulative) and is_monotonic; a gauge has neither. */
function encodeTail(instrument: FlowMetric["metric"]["instrument"], temporality: Temporality): Uint8Array {
  const value = temporality === "delta" ? 1 : 2;
  if (instrument === "counter") return Uint8Array.of(0x10, value, 0x18, 1);
  if (instrument === "updowncounter") return Uint8Array.of(0x10, 2);
  if (instrument === "histogram") return Uint8Array.of(0x10, value);
  return new Uint8Array(0);
}

/** Every point that flows of this role may have. */
export function pointsOfRole(plans: readonly MetricPlan[], role: Role): RolePoints {
  const ofRole = <Point>(entries: readonly OfRole<Point>[]) =>
    entries.flatMap((entry) => (entry.role === role ? entry.points : []));
  return {
    numbers: plans.flatMap((plan) => ofRole(plan.numbers)),
    histograms: plans.flatMap((plan) => ofRole(plan.histograms)),
  };
}

/** InstrumentationScope as it stands in ScopeMetrics. */
export function encodeScope({ name, version }: InstrumentationScope): Uint8Array {
  return encodeMessage(0x0a, Buffer.concat([encodeText(0x0a, name), encodeText(0x12, version)]));
}

function encodeDescriptor(name: string, description: string, unit: string): Uint8Array {
  return Buffer.concat([encodeText(0x0a, name), encodeText(0x12, description), encodeText(0x1a, unit)]);
}
