/**
 * What is exported: flows, the points of one attribute set under one Resource.
 *
 * Only types live here. Times are Unix nanoseconds.
 */
import type { Attributes } from "./attribute.ts";
import type { Role } from "./edge.ts";

/** A Resource as OTLP means it. Equal ids mean equal attributes; the object is kept between exchanges. */
export interface Resource {
  readonly id: string;
  readonly attributes: Attributes;
}

/**
 * Growth or sum of one base-2 exponential histogram in microseconds, scale HISTOGRAM_SCALE.
 *
 * `buckets` are the occupied ones only, as flat pairs (OTLP bucket index in microseconds, count) by ascending
 * index; no count is 0. Export moves them to seconds.
 */
export interface Histogram {
  readonly buckets: readonly number[];
  readonly sumUs: number;
}

/** A place for a histogram's buckets that is used again: pairs as in Histogram, of which `length` numbers count. */
export interface BucketList {
  readonly pairs: number[];
  length: number;
}

/** A place for the numbers of a flow that is used again. */
export interface FlowNumbers {
  /** Indexed by EDGE_COUNTERS. */
  readonly counters: Float64Array;
  readonly handshake: BucketList;
  readonly rtt: BucketList;
  readonly duration: BucketList;
}

export interface Exemplar {
  readonly value: number;
  readonly timeUnixNs: bigint;
  readonly traceId: string;
  readonly spanId: string;
  readonly filteredAttributes: Attributes;
}

/**
 * All edges of one attribute set under one Resource: what becomes one point of every flow metric.
 * All points of a flow travel in one request, so that one answer of the Collector accepts it or refuses it as a whole.
 * `resource` is the same object in every exchange: the encoder caches its bytes.
 */
export interface Flow {
  readonly resource: Resource;
  readonly attributes: Attributes;
  readonly role: Role;
  /** Unix nanoseconds: start of the sums (cumulative) or of the growth (delta). */
  readonly startUnixNs: bigint;
  readonly timeUnixNs: bigint;
  /** Indexed by EDGE_COUNTERS: a copy, for what is not done thousands of times. So are the histograms. */
  readonly counters: Float64Array;
  readonly handshake: Histogram;
  readonly rtt: Histogram;
  readonly duration: Histogram;
  /** Writes all of them. */
  copyNumbers(into: FlowNumbers): void;
  readonly open: number;
  readonly limit: number;
  readonly exemplars?:
    | {
        readonly handshake?: readonly Exemplar[];
        readonly rtt?: readonly Exemplar[];
        readonly retransmits?: readonly Exemplar[];
      }
    | undefined;
}

/** The form of histograms: OTLP's base-2 exponential one, or buckets with explicit bounds. */
export type HistogramForm = "exponential" | "explicit";

export type Temporality = "cumulative" | "delta";
