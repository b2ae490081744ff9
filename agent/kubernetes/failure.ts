/**
 * Why talking to the API server failed, as a word for counters and logs.
 *
 * Every failure of agent/kubernetes/ becomes one of these; nothing else leaves a watch.
 */

export const FAILURE_REASONS = [
  "refused", // nobody listens
  "network", // no route, name not found
  "certificate", // TLS: the server's certificate does not fit the CA or the address
  "credentials", // a token, certificate or kubeconfig could not be read
  "proxy", // the proxy on the way there is away, refuses, or wants to know who we are
  "unauthorized", // 401
  "forbidden", // 403
  "gone", // 410: the history that was asked for is compacted
  "unsupported", // the server refuses watch-list
  "throttled", // 429
  "rejected", // another 4xx
  "server_error", // 5xx
  "silent", // no word for longer than a server stays silent, or nobody answers keepalives
  "closed", // the stream broke off
  "malformed", // an answer that cannot be read
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** What else is known of a failure. */
export interface FailureFacts {
  /** What the server asked for. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
  /** What to do, with the name of the setting or of the kubeconfig's field. */
  readonly remedy?: string | undefined;
}

export class ApiFailure extends Error {
  readonly reason: FailureReason;
  readonly retryAfterMs: number | undefined;
  readonly remedy: string | undefined;

  /** @param message never holds a secret: it stands in logs, in readiness and in doctor */
  constructor(reason: FailureReason, message: string, { retryAfterMs, cause, remedy }: FailureFacts = {}) {
    super(message, { cause });
    this.name = "ApiFailure";
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.remedy = remedy;
  }

  /** In one line, for people. */
  get words(): string {
    return this.remedy === undefined ? this.message : `${this.message}; ${this.remedy}`;
  }
}

/** A proxy that says "come back tomorrow" must not leave the agent without names until then. */
const RETRY_AFTER_MAX_MS = 120_000;

/** What an answer's status means; the caller knows that it is not 200. */
export function statusFailure(status: number, message: string, retryAfter: string | undefined): ApiFailure {
  const seconds = retryAfter !== undefined && /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  const retryAfterMs = seconds && Math.min(seconds * 1000, RETRY_AFTER_MAX_MS);
  return new ApiFailure(statusReason(status), `status ${status}: ${message}`, { retryAfterMs });
}

function statusReason(status: number): FailureReason {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 410) return "gone";
  if (status === 429) return "throttled";
  return status >= 500 ? "server_error" : "rejected";
}

/** An error of Node's network layer. */
export function networkFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message || code : String(error);
  return new ApiFailure(networkReason(code), message, { cause: error });
}

/** Node hands on OpenSSL's names of what is wrong with a certificate. */
const TLS_CODES =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT|ERR_SSL_|EPROTO$)/;

function networkReason(code: string): FailureReason {
  if (code === "ECONNREFUSED") return "refused";
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE") return "closed";
  if (code === "ETIMEDOUT") return "silent";
  if (code.startsWith("HPE_")) return "malformed"; // what came is no HTTP
  return TLS_CODES.test(code) ? "certificate" : "network";
}
