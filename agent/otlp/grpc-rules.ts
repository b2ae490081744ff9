/**
 * Why gRPC did not bring a request to a Collector. It says UNAVAILABLE to nearly everything, with OpenSSL's file names
 * in it, and of a proxy nothing at all.
 */
import { CERTIFICATE_RULES, NETWORK_RULES, NOT_AT_ALL, NOT_TLS } from "./connection-rules.ts";
import { nameOf, type Rule } from "./trouble.ts";

/** Tried on `STATUS: words`. */
export const GRPC_RULES: readonly Rule[] = [
  [
    "proxy",
    /Last error: undefined/,
    ({ proxy, names }) => ({
      detail: `the proxy ${proxy?.address ?? ""} does not let it through: ${proxy?.words ?? ""}`,
      remedy: `mend ${proxy?.variable ?? "http_proxy"}, or add the host of ${nameOf(names.endpoint)} to no_proxy`,
    }),
  ],
  NOT_TLS,
  ...CERTIFICATE_RULES,
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
  ...NETWORK_RULES,
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
