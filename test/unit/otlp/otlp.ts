/**
 * Decodes OTLP metric requests with protobufjs, from the field numbers of opentelemetry-proto 1.x.
 *
 * Shared by the tests that hold our bytes against the stock serializer's: both go through this one
 * decoder, so a difference is a difference of the bytes' meaning.
 */
import protobuf from "protobufjs";

const SCHEMA = `
syntax = "proto3";
message Request { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; string schema_url = 3; }
message Scope {
  string name = 1; string version = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4;
}
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message Metric {
  string name = 1; string description = 2; string unit = 3;
  oneof data { Gauge gauge = 5; Sum sum = 7; ExponentialHistogram exponential_histogram = 10; }
}
message Gauge { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; uint32 aggregation_temporality = 2; bool is_monotonic = 3; }
message ExponentialHistogram {
  repeated ExponentialHistogramDataPoint data_points = 1; uint32 aggregation_temporality = 2;
}
message NumberDataPoint {
  repeated KeyValue attributes = 7; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  oneof value { double as_double = 4; sfixed64 as_int = 6; }
  repeated Exemplar exemplars = 5; uint32 flags = 8;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  fixed64 count = 4; optional double sum = 5; sint32 scale = 6; fixed64 zero_count = 7;
  Buckets positive = 8; Buckets negative = 9; uint32 flags = 10; repeated Exemplar exemplars = 11;
  optional double min = 12; optional double max = 13; double zero_threshold = 14;
}
message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
message Exemplar {
  repeated KeyValue filtered_attributes = 7; fixed64 time_unix_nano = 2;
  oneof value { double as_double = 3; sfixed64 as_int = 6; }
  bytes span_id = 4; bytes trace_id = 5;
}
`;

const { root } = protobuf.parse(SCHEMA);
const request = root.lookupType("Request");

export interface DecodedValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly DecodedValue[] };
}

export interface DecodedPoint {
  readonly attributes: readonly { readonly key: string; readonly value: DecodedValue }[];
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
  readonly asInt?: string;
  readonly asDouble?: number;
  readonly count?: string;
  readonly sum?: number;
  readonly scale?: number;
  readonly positive?: { readonly offset: number; readonly bucketCounts: readonly string[] };
  readonly exemplars: readonly object[];
}

export interface DecodedData {
  readonly dataPoints: readonly DecodedPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

export interface DecodedMetric {
  readonly name: string;
  readonly gauge?: DecodedData;
  readonly sum?: DecodedData;
  readonly exponentialHistogram?: DecodedData;
}

export interface DecodedRequest {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: DecodedValue }[] };
    readonly scopeMetrics: readonly { readonly metrics: readonly DecodedMetric[] }[];
  }[];
}

/** The request as plain values: 64-bit integers as text, bytes as base64, absent scalars as their default. */
export function decodeRequest(bytes: Uint8Array): DecodedRequest {
  const message = request.decode(bytes);
  return request.toObject(message, { longs: String, bytes: String, defaults: true, arrays: true }) as DecodedRequest;
}

export function pointsOf(metric: DecodedMetric): readonly DecodedPoint[] {
  return (metric.gauge ?? metric.sum ?? metric.exponentialHistogram)?.dataPoints ?? [];
}

/** All points of a request under `resource metric` names, for tests that care only about which ones are there. */
export function metricsOf(decoded: DecodedRequest): readonly DecodedMetric[] {
  return decoded.resourceMetrics.flatMap((one) => one.scopeMetrics.flatMap((scope) => scope.metrics));
}
