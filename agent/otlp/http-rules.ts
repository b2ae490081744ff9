/**
 * Why HTTP did not bring a request to a Collector: a status of HTTP or an error code of Node, and words, in.
 */
import { CERTIFICATE_RULES, NETWORK_RULES, NOT_AT_ALL, NOT_TLS } from "./connection-rules.ts";
import { SERVICES } from "./signal-services.ts";
import { type Attempt, nameOf, type Rule } from "./trouble.ts";

/** Tried on `STATUS: words`, as `404: page not found`, or `CODE: words`. */
export const HTTP_RULES: readonly Rule[] = [
  [
    "proxy",
    /^(407|ERR_PROXY_\w+):/,
    ({ proxy, names }, words) => ({
      detail: `the proxy ${proxy?.address ?? ""} does not let it through: ${words}`,
      remedy: `mend ${proxy?.variable ?? "HTTPS_PROXY"}, or add the host of ${nameOf(names.endpoint)} to NO_PROXY`,
    }),
  ],
  [
    "closed",
    /^400: .*HTTPS server/i,
    ({ names }) => ({
      detail: "the port speaks TLS, and plain text was sent",
      remedy: `${nameOf(names.endpoint)}: write https:// instead of http://`,
    }),
  ],
  NOT_TLS,
  ...CERTIFICATE_RULES,
  [
    "not_http",
    /^HPE_/,
    ({ names }) => ({
      detail: "what answers there does not speak HTTP/1.1: perhaps it is OTLP's port for gRPC, or one for TLS",
      remedy: `${nameOf(names.endpoint)}: name the Collector's port for HTTP, 4318 by default (4317 is for gRPC), and https:// for TLS`,
    }),
  ],
  [
    "not_otlp",
    /^text\/html:/,
    ({ names }) => ({
      detail: "a page for people answers there, as a login does: nothing says that the request was taken",
      remedy: `${nameOf(names.endpoint)}: name the address that takes OTLP`,
    }),
  ],
  [
    "redirected",
    /^3\d\d:/,
    ({ names }, words) => ({
      detail: `it sends elsewhere: ${words}`,
      remedy: `${nameOf(names.endpoint)}: name the address where it sends to`,
    }),
  ],
  [
    "not_let_in",
    /^40[13]:/,
    ({ names }) => ({ remedy: `${nameOf(names.headers)}: send the credentials that it wants` }),
  ],
  ["no_path", /^40[45]:/, noPath],
  [
    "too_large",
    /^413:/,
    () => ({
      remedy:
        "raise max_request_body_size of the Collector's OTLP receiver (http), or the limit of what stands before it",
    }),
  ],
  [
    "not_protobuf",
    /^415:/,
    ({ names }) => ({ remedy: `${nameOf(names.endpoint)}: name what takes OTLP as application/x-protobuf` }),
  ],
  [
    "busy",
    /^(429|503):/,
    () => ({ remedy: "see the Collector's log and its memory_limiter; what it refuses now is sent again" }),
  ],
  [
    "gateway",
    /^5\d\d:/,
    ({ names }) => ({
      remedy: `see the log of what answers there; ${nameOf(names.endpoint)} may name the Collector itself instead of a gateway`,
    }),
  ],
  [
    "no_connection",
    /^timeout: no connection/,
    ({ names, timeoutMs }) => ({
      detail: `no connection within ${timeoutMs} ms: packets are dropped`,
      remedy: `check firewall and NetworkPolicy, and that ${nameOf(names.endpoint)} names a Collector's port for HTTP`,
    }),
  ],
  [
    "too_slow",
    /^timeout:/,
    ({ names, timeoutMs }) => ({
      detail: `connected, but no answer within ${timeoutMs} ms`,
      remedy: `see the Collector's log; raise ${nameOf(names.timeout)} if it is only slow`,
    }),
  ],
  ...NETWORK_RULES,
  [
    "closed",
    /^(ECONNRESET|EPIPE|EPROTO|ERR_SSL\w*):/,
    ({ names, endpoint }) => ({
      detail: "it closes the connection without an answer",
      remedy: `${nameOf(names.endpoint)}: write ${
        endpoint.startsWith("https:") ? "http:// if the port speaks plain text" : "https:// if the port speaks TLS"
      }, or name the port for HTTP if this one is for gRPC; else see the log of what listens there`,
    }),
  ],
];

function noPath({ endpoint, signal, names }: Attempt) {
  const { pathname } = new URL(endpoint);
  const { httpPath } = SERVICES[signal];
  const detail = `nothing takes POST ${pathname} there`;
  if (pathname.endsWith(httpPath)) {
    const remedy = `give the Collector that ${nameOf(names.endpoint)} names an OTLP receiver (http) in a pipeline for ${signal}, or ${NOT_AT_ALL[signal]}`;
    return { detail, remedy };
  }
  const remedy = `${nameOf(names.endpoint)}: write the whole path, which is ${httpPath} at a Collector: an endpoint of one signal is taken as it is`;
  return { detail, remedy };
}
