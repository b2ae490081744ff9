/**
 * Flows to OTLP ExportMetricsServiceRequest bytes, a request at a time.
 *
 *      request ─ ResourceMetrics (one a Resource) ─ ScopeMetrics (ours) ─ Metric (one a descriptor)
 *                                                                           └ points of all its flows
 *
 * A flow's points are spread over all metrics of its Resource, yet all of them travel in one request:
 * an upper bound of each flow's bytes is known before anything is written, so that a request closes
 * in time. Field numbers are those of opentelemetry-proto 1.x; `test/unit/export/` holds the bytes,
 * decoded, against the stock serializer's.
 */
import type { Attributes } from "../model/attribute.ts";
import type { Role } from "../model/edge.ts";
import type { Flow, HistogramForm, Resource, Temporality } from "../model/flow.ts";
import type { FlowMetric } from "../model/metric.ts";
import { encodeAttributes, FIRST_FIELD_TAG, retag } from "./attribute-bytes.ts";
import { explicitRoom, writeExplicit } from "./explicit.ts";
import { SECONDS_SCALE, secondsIndex } from "./exponential.ts";
import {
  encodeScope,
  type HistogramPoint,
  type InstrumentationScope,
  type MetricPlan,
  type NumberPoint,
  planMetrics,
  pointsOfRole,
  type RolePoints,
} from "./plan.ts";
import { PreparedFlow, type PreparedHistogram } from "./prepared.ts";
import { encodeMessage, encodeText, WireWriter } from "./wire.ts";

/**
 * Requests are closed before they reach this. A Collector refuses 4 MiB; a third of that costs nothing
 * measurable and keeps what is in flight (two requests, three copies each) at some 6 MiB.
 */
const DEFAULT_REQUEST_BYTES = 1024 * 1024;
/** The most that may be configured. */
const MAX_REQUEST_BYTES = 3.5 * 1024 * 1024;

export interface EncoderOptions {
  readonly metrics: readonly FlowMetric[];
  readonly temporality: Temporality;
  readonly histograms?: HistogramForm;
  readonly scope: InstrumentationScope;
  readonly maxRequestBytes?: number;
}

export interface EncodedRequest {
  /** Owned by the receiver. */
  readonly bytes: Uint8Array;
  readonly flows: readonly Flow[];
  readonly points: number;
}

/** Upper bounds in bytes of what stands around attributes, buckets and exemplars. */
const NUMBER_POINT_ROOM = 40;
const HISTOGRAM_POINT_ROOM = 90;
const METRIC_ROOM = 24;
const RESOURCE_ROOM = 24;

/** Fields of HistogramDataPoint that have another number in ExponentialHistogramDataPoint. */
const HISTOGRAM_ATTRIBUTE_TAG = 0x4a;
const HISTOGRAM_EXEMPLAR_TAG = 0x42;

const NO_BYTES: Uint8Array = new Uint8Array(0);
const MICROSECONDS = 1_000_000;

interface ResourceGroup {
  readonly resource: Resource;
  readonly flows: PreparedFlow[];
}

/**
 * Encodes flows with one fixed table of metrics.
 *
 * Not reentrant: the buffer is shared, so a request is whole when `next()` returns and no two
 * generators of one encoder may be open at a time.
 */
export class FlowEncoder {
  readonly #plans: readonly MetricPlan[];
  readonly #rolePoints: Readonly<Record<Role, RolePoints>>;
  readonly #groupRoom: number;
  readonly #scope: Uint8Array;
  readonly #scopeTail: Uint8Array;
  readonly #maxBytes: number;
  readonly #writer = new WireWriter();
  readonly #resources = new WeakMap<Attributes, Uint8Array>();
  /** Of the request under way; used again for the next. */
  readonly #prepared: PreparedFlow[] = [];
  readonly #attributes = new WireWriter();
  #preparedCount = 0;
  #points = 0;

  constructor(options: EncoderOptions) {
    this.#plans = planMetrics(options.metrics, options.temporality, options.histograms);
    this.#rolePoints = {
      client: pointsOfRole(this.#plans, "client"),
      server: pointsOfRole(this.#plans, "server"),
      listener: pointsOfRole(this.#plans, "listener"),
    };
    this.#scope = encodeScope(options.scope);
    this.#scopeTail = encodeText(0x1a, options.scope.schemaUrl);
    const headers = this.#plans.reduce((sum, plan) => sum + plan.header.length + plan.tail.length + METRIC_ROOM, 0);
    this.#groupRoom = headers + this.#scope.length + this.#scopeTail.length + RESOURCE_ROOM;
    this.#maxBytes = Math.min(options.maxRequestBytes ?? DEFAULT_REQUEST_BYTES, MAX_REQUEST_BYTES);
  }

  /**
   * Yields requests that together hold every flow once, those of one Resource next to each other.
   *
   * Attributes of a flow, of a point and of a Resource must not share keys within one point. A request
   * passes the limit only when it holds a single flow whose names alone are that long.
   */
  *encode(flows: Iterable<Flow>): Generator<EncodedRequest, void, undefined> {
    let groups: ResourceGroup[] = [];
    let bytes = 0;
    for (const [resource, members] of byResource(flows)) {
      const groupBytes = this.#groupRoom + this.#resourceBytes(resource).length;
      let group: ResourceGroup | undefined;
      for (const flow of members) {
        let prepared = this.#prepare(flow);
        const needed = prepared.bound + (group === undefined ? groupBytes : 0);
        if (groups.length > 0 && bytes + needed > this.#maxBytes) {
          yield this.#request(groups, bytes);
          groups = [];
          bytes = 0;
          group = undefined;
          prepared = this.#prepare(flow);
        }
        if (group === undefined) {
          group = { resource, flows: [] };
          groups.push(group);
          bytes += groupBytes;
        }
        group.flows.push(prepared);
        bytes += prepared.bound;
      }
    }
    if (groups.length > 0) yield this.#request(groups, bytes);
  }

  #prepare(flow: Flow): PreparedFlow {
    let prepared = this.#prepared[this.#preparedCount];
    if (prepared === undefined) {
      prepared = new PreparedFlow(flow);
      this.#prepared.push(prepared);
    }
    this.#preparedCount++;
    prepared.take(flow, this.#attributes);
    prepared.bound = this.#boundOf(prepared);
    return prepared;
  }

  /** At most this many bytes are written for the flow: a few per cent too many, never too few. */
  #boundOf(prepared: PreparedFlow): number {
    const { flow, attributes, exemplars } = prepared;
    const points = this.#rolePoints[flow.role];
    let bytes = 0;
    for (const point of points.numbers) {
      if (point.always || prepared.number(point) !== 0) {
        bytes += NUMBER_POINT_ROOM + attributes.length + point.attributes.length;
      }
    }
    for (const point of points.histograms) {
      const span = prepared[point.histogram];
      if (point.always || span.count > 0) {
        bytes += HISTOGRAM_POINT_ROOM + attributes.length + point.attributes.length;
        bytes += point.bounds === undefined ? span.packedBytes : explicitRoom(point.bounds);
      }
    }
    if (exemplars !== undefined) {
      bytes += exemplars.handshake.length + exemplars.rtt.length + exemplars.retransmits.length;
    }
    return bytes;
  }

  #request(groups: readonly ResourceGroup[], bound: number): EncodedRequest {
    this.#points = 0;
    this.#preparedCount = 0;
    this.#writer.reserve(bound);
    for (const group of groups) this.#writeGroup(group);
    this.#attributes.at = 0;
    return {
      bytes: this.#writer.take(),
      flows: groups.flatMap((group) => group.flows.map((prepared) => prepared.flow)),
      points: this.#points,
    };
  }

  /** One ResourceMetrics; nothing at all where no point has a value to say. */
  #writeGroup({ resource, flows }: ResourceGroup): void {
    const w = this.#writer;
    const start = w.at;
    const pointsBefore = this.#points;
    w.byte(0x0a);
    const resourceMetrics = w.open();
    w.raw(this.#resourceBytes(resource));
    w.byte(0x12);
    const scopeMetrics = w.open();
    w.raw(this.#scope);
    for (const plan of this.#plans) this.#writeMetric(plan, flows);
    w.raw(this.#scopeTail);
    w.close(scopeMetrics);
    w.close(resourceMetrics);
    if (this.#points === pointsBefore) w.at = start;
  }

  #writeMetric(plan: MetricPlan, flows: readonly PreparedFlow[]): void {
    const w = this.#writer;
    const start = w.at;
    const pointsBefore = this.#points;
    w.byte(0x12);
    const metric = w.open();
    w.raw(plan.header);
    w.byte(plan.dataTag);
    const data = w.open();
    for (const { role, points } of plan.numbers) {
      for (const prepared of flows) {
        if (prepared.flow.role !== role) continue;
        for (const point of points) this.#writeNumber(plan, prepared, point);
      }
    }
    for (const { role, points } of plan.histograms) {
      for (const prepared of flows) {
        if (prepared.flow.role !== role) continue;
        for (const point of points) this.#writeHistogram(prepared, point);
      }
    }
    w.raw(plan.tail);
    w.close(data);
    w.close(metric);
    if (this.#points === pointsBefore) w.at = start;
  }

  #writeNumber(plan: MetricPlan, prepared: PreparedFlow, point: NumberPoint): void {
    const value = prepared.number(point);
    if (value === 0 && !point.always) return;
    let exemplars = NO_BYTES;
    if (prepared.exemplars !== undefined && point.takesRetransmitExemplars && value > 0) {
      exemplars = prepared.exemplars.retransmits;
      prepared.exemplars.retransmits = NO_BYTES;
    }

    const w = this.#writer;
    const length = (plan.startTime ? 27 : 18) + prepared.attributes.length + point.attributes.length + exemplars.length;
    w.byte(0x0a);
    w.varint(length);
    if (plan.startTime) {
      w.byte(0x11);
      w.fixed64(prepared.startLow, prepared.startHigh);
    }
    w.byte(0x19);
    w.fixed64(prepared.timeLow, prepared.timeHigh);
    if (point.divisor === 0) {
      w.byte(0x31);
      w.integer64(value);
    } else {
      w.byte(0x21);
      w.double(value / point.divisor);
    }
    w.raw(prepared.attributes);
    if (point.attributes.length > 0) w.raw(point.attributes);
    if (exemplars.length > 0) w.raw(exemplars);
    this.#points++;
  }

  #writeHistogram(prepared: PreparedFlow, point: HistogramPoint): void {
    const histogram = prepared[point.histogram];
    if (histogram.count === 0 && !point.always) return;
    const w = this.#writer;
    w.byte(0x0a);
    const start = w.open();
    const attributes = w.at;
    w.raw(prepared.attributes);
    w.raw(point.attributes);
    retag(w, attributes, w.at, point.bounds === undefined ? FIRST_FIELD_TAG : HISTOGRAM_ATTRIBUTE_TAG);
    w.byte(0x11);
    w.fixed64(prepared.startLow, prepared.startHigh);
    w.byte(0x19);
    w.fixed64(prepared.timeLow, prepared.timeHigh);
    w.byte(0x21);
    w.integer64(histogram.count);
    w.byte(0x29);
    w.double((prepared.counters[point.sum] as number) / MICROSECONDS);
    if (point.bounds === undefined) this.#writeExponential(histogram);
    else writeExplicit(w, histogram, point.bounds);
    const exemplars = w.at;
    if (prepared.exemplars !== undefined && point.histogram !== "duration") {
      w.raw(prepared.exemplars[point.histogram]);
      if (point.bounds !== undefined) retag(w, exemplars, w.at, HISTOGRAM_EXEMPLAR_TAG);
    }
    w.close(start);
    this.#points++;
  }

  /** What only an ExponentialHistogramDataPoint has. */
  #writeExponential(histogram: PreparedHistogram): void {
    const w = this.#writer;
    w.byte(0x30);
    w.zigzag(SECONDS_SCALE);
    w.byte(0x42);
    this.#writeBuckets(histogram);
    // negative: present and empty, as the stock serializer writes it.
    w.byte(0x4a);
    w.byte(0);
  }

  /** ExponentialHistogramDataPoint.Buckets: every second bucket at SECONDS_SCALE is empty. */
  #writeBuckets({ pairs, length, count, first, packedBytes }: PreparedHistogram): void {
    const w = this.#writer;
    if (count === 0) {
      w.byte(0);
      return;
    }
    const start = w.open();
    w.byte(0x08);
    w.zigzag(secondsIndex(first));
    w.byte(0x12);
    w.varint(packedBytes);
    let next = secondsIndex(first);
    for (let i = 0; i < length; i += 2) {
      const index = secondsIndex(pairs[i] as number);
      for (; next < index; next++) w.byte(0);
      w.varint(pairs[i + 1] as number);
      next++;
    }
    w.close(start);
  }

  /** ResourceMetrics.resource, tag and length included. */
  #resourceBytes({ attributes }: Resource): Uint8Array {
    let bytes = this.#resources.get(attributes);
    if (bytes === undefined) {
      bytes = encodeMessage(0x0a, encodeAttributes(attributes, FIRST_FIELD_TAG));
      this.#resources.set(attributes, bytes);
    }
    return bytes;
  }
}

/** Flows by Resource in the order of first sight; equal ids are one Resource. */
function byResource(flows: Iterable<Flow>): Iterable<readonly [Resource, readonly Flow[]]> {
  const groups = new Map<string, [Resource, Flow[]]>();
  for (const flow of flows) {
    const group = groups.get(flow.resource.id);
    if (group === undefined) groups.set(flow.resource.id, [flow.resource, [flow]]);
    else group[1].push(flow);
  }
  return groups.values();
}
