/**
 * A failure of a request → the same with what to do, and the name of the setting that decides it. Pure.
 *
 * The words go to logs, readiness and doctor. None of them holds a value that could be a secret.
 */

import { placeOf } from "./api-proxy.ts";
import type { Credentials } from "./connection.ts";
import { ApiFailure, type FailureReason } from "./failure.ts";

/** What was asked for: an RBAC verb and resource. */
export interface Asked {
  readonly verb: string;
  readonly resource: string;
}

type Facts = Pick<Credentials, "server" | "origin" | "proxy">;

export function explain(failure: ApiFailure, facts: Facts, asked: Asked): ApiFailure {
  if (failure.remedy !== undefined) return failure;
  const { reason, retryAfterMs, cause } = failure;
  const { message, remedy } = (EXPLAIN[reason] ?? same)(failure, facts, asked);
  return new ApiFailure(reason, message, { retryAfterMs, cause, remedy });
}

interface Explained {
  readonly message: string;
  readonly remedy: string | undefined;
}

type Explainer = (failure: ApiFailure, facts: Facts, asked: Asked) => Explained;

const same = ({ message }: ApiFailure): Explained => ({ message, remedy: undefined });

const EXPLAIN: Readonly<Partial<Record<FailureReason, Explainer>>> = {
  refused: ({ message }, { server, origin }) => ({
    message,
    remedy: `is the API server up? ${origin.server} says ${server.origin}`,
  }),
  network: ({ message }, { server, origin }) => ({
    message,
    remedy: `${origin.server} says ${server.origin}: mend it, or this machine's DNS and routes`,
  }),
  silent: ({ message }, { server, proxy }) => ({
    message,
    remedy: `does ${proxy === undefined ? "a firewall or NetworkPolicy" : `the proxy ${placeOf(proxy)} (${proxy.setting})`} swallow what goes to ${server.origin}?`,
  }),
  // Before any answer: what came after one is none of ours.
  closed: (failure, facts) => ({
    message: failure.message,
    remedy:
      facts.server.protocol === "http:"
        ? `does ${facts.server.host} speak TLS? Then write https:// in ${facts.origin.server}`
        : undefined,
  }),
  certificate: explainTls,
  malformed: explainNoHttp,
  rejected: (failure, facts) =>
    /HTTP request to an HTTPS server/i.test(failure.message) ? explainNoHttp(failure, facts) : same(failure),
  unauthorized: ({ message }, { origin }, { verb, resource }) => ({
    message: `${message} (${verb} ${resource})`,
    remedy: `the API server does not take ${origin.user}: renew it`,
  }),
  forbidden: ({ message }, { origin }, { verb, resource }) => {
    const who = /User "([^"]{1,200})"/.exec(message)?.[1];
    const can = `kubectl auth can-i ${verb} ${resource}${who === undefined ? "" : ` --as=${who}`}`;
    const remedy =
      who === "system:anonymous"
        ? `it knows us by nothing: ${origin.user} is what it takes no account of; give it a token or a certificate`
        : `grant ${verb} of ${resource}: apply deploy/manifests; ${can}`;
    return { message: message.includes(resource) ? message : `${message} (${verb} ${resource})`, remedy };
  },
};

const NO_TLS =
  /wrong version number|packet length too long|http request|ERR_SSL_(WRONG_VERSION|PACKET_LENGTH|UNKNOWN_PROTOCOL)/i;

function explainTls({ message, cause }: ApiFailure, { server, origin }: Facts): Explained {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (NO_TLS.test(`${message} ${code}`)) {
    const remedy = `name its TLS port in ${origin.server}, or write http:// there`;
    return { message: `what listens at ${server.host} does not speak TLS`, remedy };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return { message, remedy: `set ${origin.tlsName} to a name that the API server's certificate holds` };
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return { message, remedy: "renew the API server's certificate, or set this machine's clock" };
  }
  if (/alert/i.test(message)) {
    return { message, remedy: `the API server refuses our side of TLS: renew ${origin.user}` };
  }
  return {
    message: `${message} (${code})`,
    remedy: `write the CA that signed the API server's certificate into ${origin.ca}`,
  };
}

function explainNoHttp({ message }: ApiFailure, { server, origin }: Facts): Explained {
  if (server.protocol === "https:")
    return { message, remedy: `is ${server.origin} an API server? ${origin.server} says so` };
  return {
    message: `what listens at ${server.host} does not speak plain HTTP`,
    remedy: `write https:// in ${origin.server}`,
  };
}
