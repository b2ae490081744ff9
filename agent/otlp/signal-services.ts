/**
 * What differs between OTLP's signals, for either transport: where their requests go and how a response says that a
 * part of one was rejected.
 */
import {
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from "@opentelemetry/otlp-transformer";

/** Of a response: items that the receiver did not take, 0 for none, and its reason. */
export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

export interface SignalService {
  readonly grpcName: string;
  readonly grpcPath: string;
  /** Below a base endpoint of OTLP over HTTP. */
  readonly httpPath: string;
  /** The stock delegate asks for these to measure itself; without a meter provider it measures nothing. */
  readonly component: string;
  readonly items: { readonly name: "metric_data_point" | "span" | "log"; readonly countItems: () => number };
  /** @throws Error where the bytes are no such message */
  partialSuccess(response: Uint8Array): PartialSuccess;
}

export const SERVICES = {
  metrics: {
    grpcName: "MetricsExportService",
    grpcPath: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    httpPath: "/v1/metrics",
    component: "otlp_grpc_metric_exporter",
    items: { name: "metric_data_point", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufMetricsSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedDataPoints ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
  traces: {
    grpcName: "TraceExportService",
    grpcPath: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    httpPath: "/v1/traces",
    component: "otlp_grpc_span_exporter",
    items: { name: "span", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedSpans ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
  logs: {
    grpcName: "LogsExportService",
    grpcPath: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    httpPath: "/v1/logs",
    component: "otlp_grpc_log_exporter",
    items: { name: "log", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufLogsSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedLogRecords ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
} as const satisfies Record<string, SignalService>;

export type ExportedSignal = keyof typeof SERVICES;
