/**
 * Why a Collector did not take a request, and what to do: gRPC's status and words in, a cause, plain words and the
 * name of the setting out. Pure.
 *
 * gRPC says UNAVAILABLE to nearly everything, with OpenSSL's file names in it, and of a proxy nothing at all.
 */
import type { Origin } from "../config/layer.ts";

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
  /** The variable that names it, its address, and the last words of gRPC on it. */
  readonly proxy: { readonly variable: string; readonly address: string; readonly words: string } | undefined;
}

export interface Trouble {
  /** One of the words below: the same cause is reported once. */
  readonly cause: string;
  readonly detail: string;
  readonly remedy: string;
}

type Rule = readonly [
  cause: string,
  when: RegExp,
  say: (attempt: Attempt, words: string) => Pick<Trouble, "remedy"> & Partial<Pick<Trouble, "detail">>,
];

/** The first that fits counts; they are tried on `STATUS: words`. */
const RULES: readonly Rule[] = [
  [
    "proxy",
    /Last error: undefined/,
    ({ proxy, names }) => ({
      detail: `the proxy ${proxy?.address ?? ""} does not let it through: ${proxy?.words ?? ""}`,
      remedy: `mend ${proxy?.variable ?? "http_proxy"}, or add the host of ${nameOf(names.endpoint)} to no_proxy`,
    }),
  ],
  [
    "not_tls",
    /wrong version number|packet length too long|http request/i,
    ({ names }) => ({
      detail: "TLS was offered, and the answer is none: the port speaks plain text",
      remedy: `${nameOf(names.endpoint)}: write http:// instead of https://, or name the port that speaks TLS`,
    }),
  ],
  [
    "wrong_name",
    /altname/i,
    ({ names }, words) => ({
      detail: `its certificate is for another name: ${/Host: .*|IP: .*/.exec(words)?.[0] ?? words}`,
      remedy: `${nameOf(names.endpoint)}: use a name that its certificate has, or let the certificate be made for this one`,
    }),
  ],
  [
    "certificate_expired",
    /certificate has expired|certificate is not yet valid/i,
    () => ({ remedy: "renew the Collector's certificate, or set this machine's clock" }),
  ],
  [
    "unknown_ca",
    /unable to verify|unable to get (local )?issuer|self.signed|unable to get certificate/i,
    ({ names, caFile, trusted }) => ({
      detail: `nobody whom this agent trusts has signed its certificate; trusted: ${caFile ?? trusted}`,
      remedy: `${nameOf(names.caFile)}: name a file with the certificate of the CA that signed the Collector's`,
    }),
  ],
  [
    "client_certificate",
    /alert (certificate required|bad certificate|unknown ca|handshake failure|certificate unknown)/i,
    ({ names, hasCertificate }) => ({
      detail: hasCertificate ? "it refuses the agent's certificate" : "it wants to be shown a certificate",
      remedy: `${nameOf(names.certFile)} and ${nameOf(names.keyFile)}: name a certificate that the Collector takes, and its key`,
    }),
  ],
  [
    "not_grpc",
    /no application protocol|Protocol error|Parse Error|HTTP status code 40[045]|Call ended without gRPC status/i,
    ({ names }) => ({
      detail: "what answers there does not speak gRPC: perhaps it is OTLP's port for HTTP, or another program",
      remedy: `${nameOf(names.endpoint)}: name the Collector's port for gRPC, 4317 by default (4318 is for HTTP)`,
    }),
  ],
  [
    "closed",
    /Failed to connect|socket disconnected before secure|ECONNRESET|socket hang up/i,
    ({ names, endpoint, hasCertificate }) => {
      const isTls = endpoint.startsWith("https:");
      const other = isTls ? "http:// if the port speaks plain text" : "https:// if the port speaks TLS";
      const certificate = isTls && hasCertificate ? `it may not take the one of ${nameOf(names.certFile)}; ` : "";
      return {
        detail: "it closes every connection at once, before a word of gRPC",
        remedy: `${nameOf(names.endpoint)}: write ${other}; ${certificate}else see the log of what listens there`,
      };
    },
  ],
  [
    "nobody_listens",
    /ECONNREFUSED|connect ENOENT|connect EACCES/,
    ({ names }, words) => ({
      detail: /connect E\w+ .*/.exec(words)?.[0] ?? words,
      remedy: `start a Collector with an OTLP receiver there, or set ${nameOf(names.endpoint)}`,
    }),
  ],
  [
    "no_such_name",
    /Name resolution failed|ENOTFOUND|EAI_AGAIN/,
    ({ names }) => ({ remedy: `${nameOf(names.endpoint)}: name a host that this machine's resolver knows` }),
  ],
  [
    "no_route",
    /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/,
    ({ names }) => ({ remedy: `${nameOf(names.endpoint)}: name an address that this machine can reach` }),
  ],
  [
    "no_connection",
    /DEADLINE_EXCEEDED: .*(LB pick|name resolution|Waiting for)/,
    ({ names, timeoutMs }) => ({
      detail: `no connection within ${timeoutMs} ms: packets are dropped, or what listens there says nothing`,
      remedy: `check firewall and NetworkPolicy, and that ${nameOf(names.endpoint)} names a Collector's port for gRPC`,
    }),
  ],
  [
    "too_slow",
    /^DEADLINE_EXCEEDED/,
    ({ names, timeoutMs }) => ({
      detail: `connected, but no answer within ${timeoutMs} ms`,
      remedy: `see the Collector's log; raise ${nameOf(names.timeout)} if it is only slow`,
    }),
  ],
  [
    "not_let_in",
    /^(UNAUTHENTICATED|PERMISSION_DENIED)|HTTP status code 40[137]/,
    ({ names }) => ({ remedy: `${nameOf(names.headers)}: send the credentials that the Collector wants` }),
  ],
  [
    "gateway",
    /HTTP status code 5\d\d/,
    ({ names }) => ({
      remedy: `see the gateway or mesh between here and the Collector; ${nameOf(names.endpoint)} may name the Collector itself`,
    }),
  ],
  [
    "no_pipeline",
    /^UNIMPLEMENTED/,
    ({ signal, names }) => ({
      remedy: `give the Collector that ${nameOf(names.endpoint)} names an OTLP receiver in a pipeline for ${signal}, or ${NOT_AT_ALL[signal]}`,
    }),
  ],
  [
    "too_large",
    /^RESOURCE_EXHAUSTED: .*larger than max/i,
    () => ({ remedy: "raise max_recv_msg_size_mib of the Collector's OTLP receiver (grpc)" }),
  ],
];

const NOT_AT_ALL = {
  metrics: "send none: OTEL_METRICS_EXPORTER=none",
  traces: "make none: OTEL_TRACES_EXPORTER=none, in a file spans.enabled: false",
  logs: "make none: OTEL_LOGS_EXPORTER=none, in a file findings.enabled: false",
} as const;

/** `OTEL_EXPORTER_OTLP_ENDPOINT`, `--endpoint`, `meter_provider.….endpoint (flowspan.yaml:7)` */
export function nameOf({ source, path }: Origin): string {
  return source === "environment" || source === "command line" || source === "configuration"
    ? path
    : `${path} (${source})`;
}

/** @returns undefined where the words say all that is known */
export function troubleOf(reason: string, message: string, attempt: Attempt): Trouble | undefined {
  const text = `${reason}: ${message}`;
  const rule = RULES.find(([cause, when]) => when.test(text) && (cause !== "proxy" || attempt.proxy !== undefined));
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
