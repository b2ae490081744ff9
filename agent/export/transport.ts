/**
 * Sends encoded requests of one signal over the stock OTLP gRPC exporters' own delegate.
 *
 * So every OTEL_EXPORTER_OTLP_* variable (endpoint, headers, compression, timeout, certificates,
 * insecure; the signal's own ones win), TLS, mTLS and gzip behave as in any OpenTelemetry SDK. Our part is an
 * identity serializer, and to hand the caller what the delegate only logs: the partial success, the
 * status by name and RetryInfo. Nothing is tried again here.
 */
import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import {
  convertLegacyOtlpGrpcOptions,
  createOtlpGrpcExportDelegate,
  type OTLPGRPCExporterConfigNode,
} from "@opentelemetry/otlp-grpc-exporter-base";
import { ProtobufMetricsSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ExportOutcome } from "../model.ts";
import { failureOf } from "./status.ts";

/** What is left out comes from the environment, then from OTLP's own defaults. */
export interface TransportOptions {
  /** `http://` is plain text, `https://` is TLS; without a scheme `insecure` decides. */
  readonly endpoint?: string;
  readonly insecure?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly compression?: "gzip" | "none";
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Stands before the exporter's own name in the user agent: `flowspan/0.1.0`. */
  readonly userAgent?: string;
}

export interface Transport {
  /** Where requests go, for people: `collector:4317`. */
  readonly target: string;
  /** Sends one request; never rejects. A dead Collector fails within the timeout. */
  send(bytes: Uint8Array): Promise<ExportOutcome>;
  /** Waits for what is in flight, at most the timeout. */
  shutdown(): Promise<void>;
}

type Delegate = ReturnType<typeof createOtlpGrpcExportDelegate<Uint8Array, object>>;
type Config = ReturnType<typeof convertLegacyOtlpGrpcOptions>;

interface Partial {
  readonly rejected: number;
  readonly message: string;
}

/** What differs between the signals. */
interface SignalService {
  readonly variables: "METRICS" | "TRACES";
  readonly grpcName: string;
  readonly grpcPath: string;
  /** The delegate asks for these to measure itself; without a meter provider it measures nothing. */
  readonly component: string;
  readonly items: { readonly name: "metric_data_point" | "span"; readonly countItems: () => number };
  partialSuccess(response: Uint8Array): Partial;
}

const SERVICES = {
  metrics: {
    variables: "METRICS",
    grpcName: "MetricsExportService",
    grpcPath: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    component: "otlp_grpc_metric_exporter",
    items: { name: "metric_data_point", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufMetricsSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedDataPoints ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
  traces: {
    variables: "TRACES",
    grpcName: "TraceExportService",
    grpcPath: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    component: "otlp_grpc_span_exporter",
    items: { name: "span", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedSpans ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
} as const satisfies Record<string, SignalService>;

export type ExportedSignal = keyof typeof SERVICES;

/**
 * The transport that options and environment ask for. Nothing is connected before the first request.
 *
 * @throws Error that says what to set: a protocol other than grpc, or a certificate that cannot be read
 */
export function createTransport(options: TransportOptions = {}, signal: ExportedSignal = "metrics"): Transport {
  const service = SERVICES[signal];
  refuseOtherProtocols(service);
  return new GrpcTransport(configure(options, service), service);
}

function refuseOtherProtocols({ variables }: SignalService): void {
  for (const name of [`OTEL_EXPORTER_OTLP_${variables}_PROTOCOL`, "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
    const protocol = process.env[name]?.trim();
    if (protocol === undefined || protocol === "") continue;
    if (protocol === "grpc") return;
    throw new Error(
      `${name} is "${protocol}", but flowspan sends OTLP over gRPC only: ` +
        `set OTEL_EXPORTER_OTLP_${variables}_PROTOCOL=grpc and an endpoint that takes it (a Collector's is port 4317)`,
    );
  }
}

/** The options as the stock exporters take them: the agent's own metrics go the same way (agent/self/). */
export function stockOptions(options: TransportOptions): OTLPGRPCExporterConfigNode {
  const { endpoint, insecure, headers, timeoutMs, compression, userAgent } = options;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(headers ?? {})) metadata.set(key, value);
  const hasScheme = endpoint?.includes("://") ?? false;
  return {
    metadata,
    ...(endpoint === undefined ? {} : { url: insecure === true && !hasScheme ? `http://${endpoint}` : endpoint }),
    ...(timeoutMs === undefined ? {} : { timeoutMillis: timeoutMs }),
    ...(compression === undefined ? {} : { compression: compression as CompressionAlgorithm }),
    ...(userAgent === undefined ? {} : { userAgent }),
    ...(namesCertificates(options) ? { credentials: readCredentials(options) } : {}),
  };
}

function configure(options: TransportOptions, { variables }: SignalService): Config {
  // Reads the certificates now, so that a wrong path stops the agent at its start ...
  const config = convertLegacyOtlpGrpcOptions(stockOptions(options), variables);
  // ... and again for each new connection, since they may have been renewed.
  return namesCertificates(options) ? { ...config, credentials: () => readCredentials(options) } : config;
}

/** Whether the options themselves ask for TLS with files of theirs; the environment's are the stock code's. */
function namesCertificates({ endpoint, insecure, caFile, certFile, keyFile }: TransportOptions): boolean {
  const hasScheme = endpoint?.includes("://") ?? false;
  if (endpoint?.startsWith("http://") || (insecure === true && !hasScheme)) return false;
  return caFile !== undefined || certFile !== undefined || keyFile !== undefined;
}

function readCredentials({ caFile, certFile, keyFile }: TransportOptions): ChannelCredentials {
  const read = (path: string | undefined) => (path === undefined ? null : readFileSync(path));
  return credentials.createSsl(read(caFile), read(keyFile), read(certFile));
}

class GrpcTransport implements Transport {
  readonly #config: Config;
  readonly #service: SignalService;
  #delegate: Delegate;
  #closing: Promise<unknown> = Promise.resolve();
  /** What the delegate decoded last: it reports the result in the same turn. */
  #response: Partial | undefined;

  constructor(config: Config, service: SignalService) {
    this.#config = config;
    this.#service = service;
    this.#delegate = this.#connect();
  }

  get target(): string {
    return this.#config.url;
  }

  send(bytes: Uint8Array): Promise<ExportOutcome> {
    const delegate = this.#delegate;
    return new Promise((resolve) => {
      delegate.export(bytes, (result) => {
        const outcome = this.#outcomeOf(result);
        if (outcome.state === "failed" && outcome.retryable) this.#renew(delegate);
        resolve(outcome);
      });
    });
  }

  async shutdown(): Promise<void> {
    await Promise.all([this.#closing, this.#delegate.shutdown()]);
  }

  #connect(): Delegate {
    const serializer = {
      // Buffer.from() is done to it next, which copies an array, but shares the memory of an ArrayBuffer.
      serializeRequest: (bytes: Uint8Array) =>
        bytes.length === bytes.buffer.byteLength ? (bytes.buffer as unknown as Uint8Array) : bytes,
      deserializeResponse: (bytes: Uint8Array) => {
        this.#response = this.#service.partialSuccess(bytes);
        // Empty: else the delegate would also log the partial success that our caller is told of.
        return {};
      },
    };
    const { component, items, grpcName, grpcPath } = this.#service;
    return createOtlpGrpcExportDelegate(this.#config, serializer, component, items, undefined, grpcName, grpcPath);
  }

  /**
   * Leaves a failing connection behind.
   *
   * grpc-js doubles its pause between connects up to two minutes, longer than a Collector takes to come
   * back. A new channel starts over, and reads certificates that may have been renewed.
   */
  #renew(failing: Delegate): void {
    if (this.#delegate !== failing) return;
    this.#delegate = this.#connect();
    this.#closing = Promise.all([this.#closing, failing.shutdown()]);
  }

  #outcomeOf(result: ExportResult): ExportOutcome {
    const partial = this.#response;
    this.#response = undefined;
    if (result.code === ExportResultCode.SUCCESS) {
      return {
        state: "accepted",
        rejectedPoints: partial?.rejected ?? 0,
        message: partial?.message ?? "",
      };
    }
    if (isServiceError(result.error)) return failureOf(result.error);
    // No answer: the request could not even be made, for want of a certificate for example.
    const { error } = result;
    const reason = error !== undefined && "code" in error ? String(error.code) : "NOT_A_STATUS";
    return { state: "failed", reason, message: error?.message ?? "", retryable: true, retryAfterMs: undefined };
  }
}

function isServiceError(error: Error | undefined): error is ServiceError {
  return error !== undefined && "code" in error && typeof error.code === "number";
}
