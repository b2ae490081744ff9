/**
 * Sends encoded requests of one signal through the delegate of the stock OTLP gRPC exporters.
 *
 * All of its settings are arguments: the stock exporters' own look into the environment would judge the variables
 * a second time, after agent/config has. Our part is an identity serializer, TLS (agent/tls), and to hand the caller
 * what the delegate only logs: the partial success, the status by name, RetryInfo, and what to do (trouble.ts).
 * Nothing is tried again here.
 */
import { type ChannelCredentials, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import { createOtlpGrpcExportDelegate } from "@opentelemetry/otlp-grpc-exporter-base";
import {
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from "@opentelemetry/otlp-transformer";
import type { Origin } from "../config/layer.ts";
import { ConfigError } from "../config/problem.ts";
import type { ExportOutcome } from "../model/export-outcome.ts";
import { VERSION } from "../shared/own-version.ts";
import { trustSystem } from "../tls/system-roots.ts";
import { keepGrpcQuiet, proxyFor, proxyWords } from "./grpc-proxy.ts";
import { ReportedCauses } from "./reported-causes.ts";
import { failureOf } from "./status.ts";
import { readTlsFiles, type TlsFiles } from "./tls-files.ts";
import { plainWords, type SettingNames, troubleOf } from "./trouble.ts";

/** What is left out has OTLP's default. */
export interface TransportOptions extends TlsFiles {
  /** `http://HOST:PORT` is plain text, `https://HOST:PORT` is TLS, `unix:PATH` a socket. */
  readonly endpoint: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly compression?: "gzip" | "none";
  /** For people: where each of these was set. */
  readonly names?: SettingNames;
}

export interface Transport {
  /** Where requests go, for people: `collector:4317`. */
  readonly target: string;
  /** What has been reported of this target already; without it everything is news. */
  readonly reportedCauses?: ReportedCauses;
  /**
   * Sends one request; never rejects. A dead Collector fails within the timeout.
   * After the outcome nobody reads `bytes` any more: the caller may release their memory.
   */
  send(bytes: Uint8Array): Promise<ExportOutcome>;
  /** Waits for what is in flight, at most the timeout. */
  shutdown(): Promise<void>;
}

type Delegate = ReturnType<typeof createOtlpGrpcExportDelegate<Uint8Array, object>>;
type Config = Parameters<typeof createOtlpGrpcExportDelegate>[0];

interface Partial {
  readonly rejected: number;
  readonly message: string;
}

/** What differs between the signals. */
interface SignalService {
  readonly grpcName: string;
  readonly grpcPath: string;
  /** The delegate asks for these to measure itself; without a meter provider it measures nothing. */
  readonly component: string;
  readonly items: { readonly name: "metric_data_point" | "span" | "log"; readonly countItems: () => number };
  partialSuccess(response: Uint8Array): Partial;
}

const SERVICES = {
  metrics: {
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
    grpcName: "TraceExportService",
    grpcPath: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
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
    component: "otlp_grpc_log_exporter",
    items: { name: "log", countItems: () => 0 },
    partialSuccess: (response) => {
      const { partialSuccess } = ProtobufLogsSerializer.deserializeResponse(response);
      return { rejected: Number(partialSuccess?.rejectedLogRecords ?? 0), message: partialSuccess?.errorMessage ?? "" };
    },
  },
} as const satisfies Record<string, SignalService>;

export type ExportedSignal = keyof typeof SERVICES;

const TIMEOUT_MS = 10_000;

/**
 * Nothing is connected before the first request.
 *
 * @param reportedCauses shared by transports whose troubles shall be reported once
 * @throws ConfigError that names the setting of a certificate or key which cannot be used
 */
export function createTransport(
  options: TransportOptions,
  signal: ExportedSignal = "metrics",
  reportedCauses: ReportedCauses = new ReportedCauses(),
): Transport {
  keepGrpcQuiet();
  // Now, so that a wrong path stops the agent at its start; and again for each new connection, since they may
  // have been renewed.
  credentialsOf(options);
  return new GrpcTransport(options, signal, reportedCauses);
}

function credentialsOf(options: TransportOptions): ChannelCredentials {
  if (!options.endpoint.startsWith("https:")) return credentials.createInsecure();
  const { names = VARIABLES, caFile } = options;
  const files = trustedFiles(options);
  const { ca, cert, key } = readTlsFiles(files, caFile === files.caFile ? names : { ...names, caFile: GRPC_ROOTS });
  if (ca === undefined) trustSystem();
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

/** gRPC has a variable of its own for what is trusted where nothing is named. */
function trustedFiles({ caFile, certFile, keyFile }: TlsFiles): TlsFiles {
  return { caFile: caFile ?? (process.env[GRPC_ROOTS.path] || undefined), certFile, keyFile };
}

function configOf({ endpoint, headers = {}, timeoutMs = TIMEOUT_MS, ...options }: TransportOptions): Config {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  return {
    url: endpoint.replace(/^https?:\/\//, ""),
    metadata: () => metadata,
    credentials: () => credentialsOf({ endpoint, ...options }),
    timeoutMillis: timeoutMs,
    compression: options.compression === "gzip" ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
    concurrencyLimit: 30,
    userAgent: `flowspan/${VERSION}`,
  };
}

const variable = (path: string): Origin => ({ source: "environment", path });
const GRPC_ROOTS = variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH");
const VARIABLES: SettingNames = {
  endpoint: variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
  headers: variable("OTEL_EXPORTER_OTLP_HEADERS"),
  timeout: variable("OTEL_EXPORTER_OTLP_TIMEOUT"),
  caFile: variable("OTEL_EXPORTER_OTLP_CERTIFICATE"),
  certFile: variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
  keyFile: variable("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
};

class GrpcTransport implements Transport {
  readonly target: string;
  readonly reportedCauses: ReportedCauses;
  readonly #options: TransportOptions;
  readonly #signal: ExportedSignal;
  readonly #config: Config;
  #delegate: Delegate;
  #closing: Promise<unknown> = Promise.resolve();
  /** What the delegate decoded last: it reports the result in the same turn. */
  #response: Partial | undefined;

  constructor(options: TransportOptions, signal: ExportedSignal, reportedCauses: ReportedCauses) {
    this.#options = options;
    this.#signal = signal;
    this.#config = configOf(options);
    this.target = this.#config.url;
    this.reportedCauses = reportedCauses;
    this.#delegate = this.#connect();
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
    const { component, items, grpcName, grpcPath, partialSuccess } = SERVICES[this.#signal] as SignalService;
    const serializer = {
      // Buffer.from() is done to it next, which copies an array, but shares the memory of an ArrayBuffer. A compressor
      // gets a copy: it goes on reading in a thread of its own after a timeout or a refusal has ended the call.
      serializeRequest: (bytes: Uint8Array) =>
        this.#config.compression === CompressionAlgorithm.NONE && bytes.length === bytes.buffer.byteLength
          ? (bytes.buffer as unknown as Uint8Array)
          : bytes,
      deserializeResponse: (bytes: Uint8Array) => {
        this.#response = partialSuccess(bytes);
        // Empty: else the delegate would also log the partial success that our caller reports.
        return {};
      },
    };
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

  #outcomeOf({ code, error }: ExportResult): ExportOutcome {
    const partial = this.#response;
    this.#response = undefined;
    if (code === ExportResultCode.SUCCESS) {
      return { state: "accepted", rejectedPoints: partial?.rejected ?? 0, message: partial?.message ?? "" };
    }
    if (isServiceError(error)) return this.#explained(failureOf(error));
    // No answer: the request could not even be made, for want of a certificate for example.
    return { state: "failed", retryable: true, retryAfterMs: undefined, ...unmadeWords(error) };
  }

  /** The failure in plain words, with what to do about it. */
  #explained(failure: Extract<ExportOutcome, { state: "failed" }>): ExportOutcome {
    const { endpoint, timeoutMs = TIMEOUT_MS, names = VARIABLES } = this.#options;
    const { caFile, certFile } = trustedFiles(this.#options);
    const proxy = proxyFor(endpoint.replace(/^\w+:\/\/|:\d+$/g, ""));
    const trouble = troubleOf(failure.reason, failure.message ?? "", {
      ...{ signal: this.#signal, endpoint, timeoutMs, names, caFile, hasCertificate: certFile !== undefined },
      trusted: caFile === undefined && endpoint.startsWith("https:") ? trustSystem() : "",
      proxy: proxy && { ...proxy, words: proxyWords() },
    });
    if (trouble === undefined) return { ...failure, message: plainWords(failure.message ?? "") };
    const { cause, detail, remedy } = trouble;
    return { ...failure, message: detail, cause, remedy };
  }
}

/** In one line each: which files cannot be used, and what to do. */
export function unusableWords({ problems }: ConfigError): { readonly failure: string; readonly remedy: string } {
  return {
    failure: problems.map(({ path, found }) => `${path}: ${found}`).join("; "),
    remedy: problems.map((problem) => problem.remedy).join("; "),
  };
}

function unmadeWords(error: Error | undefined): { reason: string; message: string; cause?: string; remedy?: string } {
  if (error instanceof ConfigError) {
    const { failure, remedy } = unusableWords(error);
    return { reason: "UNUSABLE_FILE", message: failure, cause: "unusable_file", remedy };
  }
  const reason = error !== undefined && "code" in error ? String(error.code) : "NOT_A_STATUS";
  return { reason, message: error?.message ?? "" };
}

function isServiceError(error: Error | undefined): error is ServiceError {
  return error !== undefined && "code" in error && typeof error.code === "number";
}
