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
import { ConfigError } from "../config/problem.ts";
import type { ExportOutcome, FailedExport } from "../model/export-outcome.ts";
import { VERSION } from "../shared/own-version.ts";
import { trustSystem } from "../tls/system-roots.ts";
import { keepGrpcQuiet, proxyFor, proxyWords } from "./grpc-proxy.ts";
import { GRPC_RULES } from "./grpc-rules.ts";
import type { ReportedCauses } from "./reported-causes.ts";
import { type ExportedSignal, type PartialSuccess, SERVICES, type SignalService } from "./signal-services.ts";
import { failureOf } from "./status.ts";
import { readTlsFiles, type TlsFiles } from "./tls-files.ts";
import { TIMEOUT_MS, type Transport, type TransportOptions, unusableOutcome, VARIABLES } from "./transport-options.ts";
import { explained } from "./trouble.ts";

type Delegate = ReturnType<typeof createOtlpGrpcExportDelegate<Uint8Array, object>>;
type Config = Parameters<typeof createOtlpGrpcExportDelegate>[0];

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

const GRPC_ROOTS = { source: "environment", path: "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" } as const;

export class GrpcTransport implements Transport {
  readonly target: string;
  readonly reportedCauses: ReportedCauses;
  readonly #options: TransportOptions;
  readonly #signal: ExportedSignal;
  readonly #config: Config;
  #delegate: Delegate;
  #closing: Promise<unknown> = Promise.resolve();
  /** What the delegate decoded last: it reports the result in the same turn. */
  #response: PartialSuccess | undefined;

  /** @throws ConfigError that names the setting of a certificate or key which cannot be used */
  constructor(options: TransportOptions, signal: ExportedSignal, reportedCauses: ReportedCauses) {
    keepGrpcQuiet();
    // Now, so that a wrong path stops the agent at its start; and again for each new connection, since they may
    // have been renewed.
    credentialsOf(options);
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
    if (error instanceof ConfigError) return unusableOutcome(error);
    // No answer: the request could not even be made.
    const reason = error !== undefined && "code" in error ? String(error.code) : "NOT_A_STATUS";
    return { state: "failed", retryable: true, retryAfterMs: undefined, reason, message: error?.message ?? "" };
  }

  #explained(failure: FailedExport): FailedExport {
    const { endpoint, timeoutMs = TIMEOUT_MS, names = VARIABLES } = this.#options;
    const { caFile, certFile } = trustedFiles(this.#options);
    const proxy = proxyFor(endpoint.replace(/^\w+:\/\/|:\d+$/g, ""));
    const attempt = {
      ...{ signal: this.#signal, endpoint, timeoutMs, names, caFile, hasCertificate: certFile !== undefined },
      trusted: caFile === undefined && endpoint.startsWith("https:") ? trustSystem() : "",
      proxy: proxy && { ...proxy, words: proxyWords() },
    };
    return explained(failure, attempt, GRPC_RULES);
  }
}

function isServiceError(error: Error | undefined): error is ServiceError {
  return error !== undefined && "code" in error && typeof error.code === "number";
}
