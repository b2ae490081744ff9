/**
 * The shape of OTLP/JSON as far as tests read it: what the Collector's file exporter writes, Jaeger's query API answers, and
 * protobuf.ts makes of bytes. 64-bit integers are strings, ids are lower-case hex; what is empty may be left out.
 */
import type { Attributes, AttributeValue } from "../../agent/model/attribute.ts";

export function attributesOf(list: readonly JsonAttribute[] = []): Attributes {
  return Object.fromEntries(list.map(({ key, value }) => [key, attributeValue(value)]));
}

function attributeValue({ stringValue, intValue, doubleValue, boolValue, arrayValue }: JsonValue): AttributeValue {
  if (intValue !== undefined) return Number(intValue);
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map((value) => String(attributeValue(value)));
  return stringValue ?? doubleValue ?? boolValue ?? "";
}

export interface JsonAttribute {
  readonly key: string;
  readonly value: JsonValue;
}

export interface JsonLogRequest {
  readonly resourceLogs?: readonly {
    readonly resource?: JsonResource;
    readonly scopeLogs?: readonly { readonly scope?: JsonScope; readonly logRecords?: readonly JsonLogRecord[] }[];
  }[];
}

export interface JsonLogRecord {
  readonly timeUnixNano?: string;
  readonly severityNumber?: number;
  readonly severityText?: string;
  readonly body?: JsonValue | null;
  readonly eventName?: string;
  readonly attributes?: readonly JsonAttribute[];
}

export interface JsonValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values?: readonly JsonValue[] };
}

interface JsonResource {
  readonly attributes?: readonly JsonAttribute[];
}

interface JsonScope {
  readonly name?: string;
  readonly version?: string;
}

export interface JsonMetricRequest {
  readonly resourceMetrics?: readonly {
    readonly resource?: JsonResource;
    readonly scopeMetrics?: readonly { readonly scope?: JsonScope; readonly metrics?: readonly JsonMetric[] }[];
  }[];
}

export interface JsonMetric {
  readonly name: string;
  readonly unit?: string;
  readonly sum?: JsonData;
  readonly gauge?: JsonData;
  readonly histogram?: JsonData;
  readonly exponentialHistogram?: JsonData;
}

interface JsonData {
  readonly dataPoints?: readonly JsonPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

export interface JsonPoint {
  readonly attributes?: readonly JsonAttribute[];
  readonly startTimeUnixNano?: string;
  readonly timeUnixNano?: string;
  readonly asInt?: string | number;
  readonly asDouble?: number;
  readonly count?: string | number;
  readonly sum?: number;
  readonly scale?: number;
  readonly zeroCount?: string | number;
  readonly positive?: { readonly offset?: number; readonly bucketCounts?: readonly (string | number)[] } | null;
  /** Of explicit buckets. */
  readonly bucketCounts?: readonly (string | number)[];
  readonly explicitBounds?: readonly number[];
  readonly exemplars?: readonly JsonExemplar[];
}

export interface JsonExemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly timeUnixNano?: string;
  readonly asDouble?: number;
  readonly asInt?: string | number;
}

export interface JsonTraceRequest {
  readonly resourceSpans?: readonly {
    readonly resource?: JsonResource;
    readonly scopeSpans?: readonly { readonly scope?: JsonScope; readonly spans?: readonly JsonSpan[] }[];
  }[];
}

export interface JsonSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind?: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly JsonAttribute[];
  readonly events?: readonly {
    readonly name: string;
    readonly timeUnixNano: string;
    readonly attributes?: readonly JsonAttribute[];
  }[];
  readonly droppedEventsCount?: number;
  readonly links?: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceState?: string;
    readonly attributes?: readonly JsonAttribute[];
  }[];
  readonly status?: { readonly code?: number; readonly message?: string } | null;
  readonly flags?: number;
}
