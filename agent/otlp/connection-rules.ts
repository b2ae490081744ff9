/** What keeps a connection from being made, whatever is then spoken on it: TLS, and the way there. */
import { nameOf, type Rule } from "./trouble.ts";

/** An https:// endpoint whose port speaks no TLS. */
export const NOT_TLS: Rule = [
  "not_tls",
  /wrong version number|packet length too long|http request/i,
  ({ names }) => ({
    detail: "TLS was offered, and the answer is none: the port speaks plain text",
    remedy: `${nameOf(names.endpoint)}: write http:// instead of https://, or name the port that speaks TLS`,
  }),
];

/** Certificates, of either end. */
export const CERTIFICATE_RULES: readonly Rule[] = [
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
];

/** The way there. */
export const NETWORK_RULES: readonly Rule[] = [
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
];

/** What to set where a signal shall not be sent. */
export const NOT_AT_ALL = {
  metrics: "send none: OTEL_METRICS_EXPORTER=none",
  traces: "make none: OTEL_TRACES_EXPORTER=none, in a file spans.enabled: false",
  logs: "make none: OTEL_LOGS_EXPORTER=none, in a file findings.enabled: false",
} as const;
