/** What a transport is made from, the same for OTLP over gRPC and over HTTP, and what both promise to their callers. */
import type { Origin } from "../config/layer.ts";
import type { ConfigError } from "../config/problem.ts";
import type { ExportOutcome } from "../model/export-outcome.ts";
import type { ReportedCauses } from "./reported-causes.ts";
import type { TlsFiles } from "./tls-files.ts";
import type { SettingNames } from "./trouble.ts";

/** What is left out has OTLP's default. */
export interface TransportOptions extends TlsFiles {
  /**
   * `http://HOST:PORT` is plain text, `https://HOST:PORT` is TLS, `unix:PATH` a socket. Over HTTP it has the path too:
   * `http://HOST:PORT/v1/metrics`; a socket's path is OTLP's.
   */
  readonly endpoint: string;
  readonly protocol?: "grpc" | "http/protobuf";
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
   * Sends one request once; never rejects. A dead Collector fails within the timeout.
   * After the outcome nobody reads `bytes` any more: the caller may release their memory.
   */
  send(bytes: Uint8Array): Promise<ExportOutcome>;
  /** Waits for what is in flight, at most the timeout. */
  shutdown(): Promise<void>;
}

export const TIMEOUT_MS = 10_000;

const variable = (path: string): Origin => ({ source: "environment", path });

/** The general variables, for options that say nothing of their origin. */
export const VARIABLES: SettingNames = {
  endpoint: variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
  headers: variable("OTEL_EXPORTER_OTLP_HEADERS"),
  timeout: variable("OTEL_EXPORTER_OTLP_TIMEOUT"),
  caFile: variable("OTEL_EXPORTER_OTLP_CERTIFICATE"),
  certFile: variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
  keyFile: variable("OTEL_EXPORTER_OTLP_CLIENT_KEY"),
};

/** In one line each: which files cannot be used, and what to do. */
export function unusableWords({ problems }: ConfigError): { readonly failure: string; readonly remedy: string } {
  return {
    failure: problems.map(({ path, found }) => `${path}: ${found}`).join("; "),
    remedy: problems.map((problem) => problem.remedy).join("; "),
  };
}

/** The outcome of a request that could not be made for want of these files. */
export function unusableOutcome(error: ConfigError): ExportOutcome {
  const { failure, remedy } = unusableWords(error);
  const words = { reason: "UNUSABLE_FILE", message: failure, cause: "unusable_file", remedy };
  return { state: "failed", retryable: true, retryAfterMs: undefined, ...words };
}
