/**
 * Why a Collector did not take a request, and what to do: a status and words in, a cause, plain words and the name of
 * the setting out, by the rules of the transport (grpc-rules.ts, http-rules.ts). Pure.
 */
import type { Origin } from "../config/layer.ts";
import type { FailedExport } from "../model/export-outcome.ts";

/** By these names the user knows what an export goes by. */
export interface SettingNames {
  readonly endpoint: Origin;
  readonly headers: Origin;
  readonly timeout: Origin;
  readonly caFile: Origin;
  readonly certFile: Origin;
  readonly keyFile: Origin;
}

/** What is known of the request that failed. */
export interface Attempt {
  readonly signal: "metrics" | "traces" | "logs";
  readonly endpoint: string;
  readonly timeoutMs: number;
  readonly names: SettingNames;
  readonly caFile: string | undefined;
  readonly hasCertificate: boolean;
  /** What is trusted without a `caFile`. */
  readonly trusted: string;
  /** With the last words of gRPC on it. */
  readonly proxy: (NamedProxy & { readonly words: string }) | undefined;
}

export interface NamedProxy {
  /** The variable that names it. */
  readonly variable: string;
  /** Without user and password. */
  readonly address: string;
}

export interface Trouble {
  /** One of the words below: the same cause is reported once. */
  readonly cause: string;
  readonly detail: string;
  readonly remedy: string;
}

/** `when` is tried on `REASON: words`. */
export type Rule = readonly [
  cause: string,
  when: RegExp,
  say: (attempt: Attempt, words: string) => Pick<Trouble, "remedy"> & Partial<Pick<Trouble, "detail">>,
];

/** `OTEL_EXPORTER_OTLP_ENDPOINT`, `--endpoint`, `meter_provider.….endpoint (flowspan.yaml:7)` */
export function nameOf({ source, path }: Origin): string {
  return source === "environment" || source === "command line" || source === "configuration"
    ? path
    : `${path} (${source})`;
}

/** A failure in plain words, with what to do about it where that is known. @param rules the first that fits counts */
export function explained(failure: FailedExport, attempt: Attempt, rules: readonly Rule[]): FailedExport {
  const { reason, message = "" } = failure;
  const trouble = troubleOf(reason, message, attempt, rules);
  if (trouble === undefined) return { ...failure, message: plainWords(message) };
  const { cause, detail, remedy } = trouble;
  return { ...failure, message: detail, cause, remedy };
}

/** @returns undefined where the words say all that is known */
export function troubleOf(
  reason: string,
  message: string,
  attempt: Attempt,
  rules: readonly Rule[],
): Trouble | undefined {
  const text = `${reason}: ${message}`;
  const rule = rules.find(([cause, when]) => when.test(text) && (cause !== "proxy" || attempt.proxy !== undefined));
  if (rule === undefined) return undefined;
  const [cause, , say] = rule;
  const words = plainWords(message);
  return { cause, detail: words, ...say(attempt, words) };
}

/** Without gRPC's frame, its times and OpenSSL's numbers and file names. */
export function plainWords(message: string): string {
  return message
    .replace(/^No connection established\. Last error: /, "")
    .replace(/\.?\s*Resolution note:\s*$/, "")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, "")
    .replace(/[0-9A-F]+:error:[0-9A-F]+:SSL routines:[^:]*:([^:]*):[^\n]*/g, "$1")
    .replace(/^(Error( \[\w+\])?: )+/, "")
    .replace(/; if the root CA is installed locally.*/, "")
    .trim();
}
