/**
 * OTLP requests as bytes → as OTLP/JSON (otlp-json.ts), with protobufjs and the field numbers of opentelemetry-proto 1.x.
 *
 * It shares no code with our encoders. What is read here of metrics is all that OTLP says, so that equal values are
 * equal requests. Throws on bytes that are no request; unknown fields are skipped, as protobuf demands.
 */
import protobuf from "protobufjs";
import type { JsonLogRequest, JsonMetricRequest, JsonTraceRequest } from "./otlp-json.ts";

const SCHEMA = `
syntax = "proto3";
message Metrics { repeated ResourceMetrics resource_metrics = 1; }
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
  oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; ExponentialHistogram exponential_histogram = 10; }
}
message Gauge { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; uint32 aggregation_temporality = 2; bool is_monotonic = 3; }
message ExponentialHistogram {
  repeated ExponentialHistogramDataPoint data_points = 1; uint32 aggregation_temporality = 2;
}
message Histogram { repeated HistogramDataPoint data_points = 1; uint32 aggregation_temporality = 2; }
message HistogramDataPoint {
  repeated KeyValue attributes = 9; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3;
  fixed64 count = 4; optional double sum = 5; repeated fixed64 bucket_counts = 6; repeated double explicit_bounds = 7;
  repeated Exemplar exemplars = 8; uint32 flags = 10; optional double min = 11; optional double max = 12;
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
message Traces { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
  uint32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9; repeated Event events = 11; uint32 dropped_events_count = 12;
  repeated Link links = 13; Status status = 15; fixed32 flags = 16;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4;
}
message Status { string message = 2; uint32 code = 3; }
message Logs { repeated ResourceLogs resource_logs = 1; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message LogRecord {
  fixed64 time_unix_nano = 1; fixed64 observed_time_unix_nano = 11; uint32 severity_number = 2; string severity_text = 3;
  AnyValue body = 5; repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; string event_name = 12;
}
`;

const { root } = protobuf.parse(SCHEMA);

/**
 * @param bytes an ExportMetricsServiceRequest
 * @returns absent scalars as their default
 * @throws Error for a metric that is no gauge, sum or histogram
 */
export function metricRequestOf(bytes: Uint8Array): JsonMetricRequest {
  const request = plain("Metrics", bytes) as JsonMetricRequest;
  for (const { scopeMetrics = [] } of request.resourceMetrics ?? [])
    for (const { name, sum, gauge, histogram, exponentialHistogram } of scopeMetrics.flatMap(
      ({ metrics = [] }) => metrics,
    ))
      if ((sum ?? gauge ?? histogram ?? exponentialHistogram) === undefined)
        throw new Error(`metric ${name} is of another kind`);
  return request;
}

/** @param bytes an ExportTraceServiceRequest */
export function traceRequestOf(bytes: Uint8Array): JsonTraceRequest {
  return plain("Traces", bytes) as JsonTraceRequest;
}

/** @param bytes an ExportLogsServiceRequest */
export function logRequestOf(bytes: Uint8Array): JsonLogRequest {
  return plain("Logs", bytes) as JsonLogRequest;
}

function plain(type: string, bytes: Uint8Array): object {
  const message = root.lookupType(type);
  return withHexIds(message.toObject(message.decode(bytes), { longs: String, defaults: true, arrays: true })) as object;
}

/** Ids are the only bytes: in hex, as OTLP's own JSON has them. */
function withHexIds(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(withHexIds);
  if (value === null || typeof value !== "object") return value;
  const copy: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) copy[key] = withHexIds(part);
  return copy;
}
