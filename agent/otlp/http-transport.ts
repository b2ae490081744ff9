/**
 * Sends encoded requests of one signal as protobuf over HTTP/1.1.
 *
 * The stock exporters' delegate for HTTP is not used: it tries again by itself, within a timeout that begins anew with
 * each byte, and keeps the status and Retry-After of 429 and 503 to itself. Ours sends once, and its caller decides.
 */
import type { Agent } from "node:http";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { ConfigError } from "../config/problem.ts";
import type { ExportOutcome, FailedExport } from "../model/export-outcome.ts";
import { VERSION } from "../shared/own-version.ts";
import { trustSystem } from "../tls/system-roots.ts";
import { type Answer, post, retryAfterMs } from "./http-exchange.ts";
import { makeAgent, namedProxy } from "./http-proxy.ts";
import { HTTP_RULES } from "./http-rules.ts";
import type { ReportedCauses } from "./reported-causes.ts";
import { type ExportedSignal, type PartialSuccess, SERVICES } from "./signal-services.ts";
import { messageOf } from "./status.ts";
import { readTlsFiles } from "./tls-files.ts";
import { TIMEOUT_MS, type Transport, type TransportOptions, unusableOutcome, VARIABLES } from "./transport-options.ts";
import { explained } from "./trouble.ts";

/** OTLP/HTTP, "Retryable Response Codes". */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Of an answer that is text, as much as a log line should hold. */
const WORDS_MAX = 200;

export class HttpTransport implements Transport {
  readonly target: string;
  readonly reportedCauses: ReportedCauses;
  readonly #options: TransportOptions;
  readonly #signal: ExportedSignal;
  readonly #url: URL;
  readonly #socketPath: string | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #inFlight = new Set<Promise<unknown>>();
  #agent: Agent | undefined;

  /** @throws ConfigError that names the setting of a certificate or key which cannot be used */
  constructor(options: TransportOptions, signal: ExportedSignal, reportedCauses: ReportedCauses) {
    const { endpoint, headers = {}, compression = "none" } = options;
    this.#options = options;
    this.#signal = signal;
    this.reportedCauses = reportedCauses;
    this.#socketPath = /^unix:(.*)$/s.exec(endpoint)?.[1];
    this.#url = new URL(this.#socketPath === undefined ? endpoint : `http://localhost${SERVICES[signal].httpPath}`);
    this.target = this.#socketPath === undefined ? endpoint.replace(/^https?:\/\/([^/]*).*$/s, "$1") : endpoint;
    this.#headers = {
      ...headers,
      "content-type": "application/x-protobuf",
      ...(compression === "gzip" && { "content-encoding": "gzip" }),
      "user-agent": `flowspan/${VERSION}`,
    };
    // Now, so that a wrong path stops the agent at its start.
    this.#agent = this.#connect();
  }

  send(bytes: Uint8Array): Promise<ExportOutcome> {
    const sending = this.#send(bytes);
    this.#inFlight.add(sending);
    return sending.finally(() => this.#inFlight.delete(sending));
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#agent?.destroy();
  }

  async #send(bytes: Uint8Array): Promise<ExportOutcome> {
    let agent: Agent | undefined;
    try {
      agent = this.#agent ??= this.#connect();
      // A copy either way: an answer may come before all is read, and the caller releases the memory then.
      const body = this.#options.compression === "gzip" ? await promisify(zlib.gzip)(bytes) : Buffer.from(bytes);
      const { timeoutMs = TIMEOUT_MS } = this.#options;
      const way = { url: this.#url, socketPath: this.#socketPath, agent, headers: this.#headers, timeoutMs };
      return this.#outcomeOf(await post({ ...way, body }));
    } catch (error) {
      if (agent !== undefined) this.#leave(agent);
      if (error instanceof ConfigError) return unusableOutcome(error);
      return this.#explained(unanswered(error as NodeJS.ErrnoException));
    }
  }

  #connect(): Agent {
    const { names = VARIABLES } = this.#options;
    if (this.#url.protocol === "http:")
      return makeAgent("http:", {}, this.#socketPath === undefined ? process.env : {});
    const { ca, cert, key } = readTlsFiles(this.#options, names);
    if (ca === undefined) trustSystem();
    return makeAgent("https:", { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  }

  /** The next request connects anew and reads certificates that may have been renewed; others in flight end as they do. */
  #leave(failing: Agent): void {
    if (this.#agent === failing) this.#agent = undefined;
    failing.maxFreeSockets = 0;
    for (const sockets of Object.values(failing.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  #outcomeOf(answer: Answer): ExportOutcome {
    const { status, headers } = answer;
    const type = headers["content-type"] ?? "";
    if (status >= 200 && status < 300) {
      if (/^text\/html/i.test(type)) {
        return this.#explained({ ...failed("text/html", `status ${status}`), retryable: true });
      }
      const { rejected, message } = this.#partialSuccess(answer, type);
      return { state: "accepted", rejectedPoints: rejected, message };
    }
    const retryable = RETRYABLE.has(status);
    const askedMs = retryable ? retryAfterMs(headers, Date.now()) : undefined;
    return this.#explained({ ...failed(String(status), wordsOf(answer, type)), retryable, retryAfterMs: askedMs });
  }

  /** A body that is no OTLP takes nothing back: the status is what counts. */
  #partialSuccess({ body }: Answer, type: string): PartialSuccess {
    const none = { rejected: 0, message: "" };
    if (type !== "" && !/protobuf/i.test(type)) return none;
    try {
      return SERVICES[this.#signal].partialSuccess(body);
    } catch {
      return none;
    }
  }

  #explained(failure: FailedExport): FailedExport {
    const { endpoint, timeoutMs = TIMEOUT_MS, names = VARIABLES, caFile, certFile } = this.#options;
    const proxy = namedProxy(this.#url.protocol);
    const attempt = {
      ...{ signal: this.#signal, endpoint: this.#url.href, timeoutMs, names, caFile },
      hasCertificate: certFile !== undefined,
      trusted: caFile === undefined && endpoint.startsWith("https:") ? trustSystem() : "",
      proxy: proxy && { ...proxy, words: "" },
    };
    return explained(failure, attempt, HTTP_RULES);
  }
}

function failed(reason: string, message: string): FailedExport {
  return { state: "failed", reason, message, retryable: false, retryAfterMs: undefined };
}

/** No answer came, so nobody knows that the request was refused: it may be sent again. */
function unanswered(error: NodeJS.ErrnoException & { readonly errors?: readonly Error[] }): FailedExport {
  // One name with several addresses, none of which could be reached: each has an error of its own.
  const words = error.message || (error.errors ?? []).map(({ message }) => message).join("; ");
  return { ...failed(error.code ?? error.name, words), retryable: true };
}

/** What the server says: google.rpc.Status where it speaks OTLP, else its text; of a page for people its status line. */
function wordsOf({ body, headers, status, reason }: Answer, type: string): string {
  if (status >= 300 && status < 400) return headers.location ?? "it does not say where";
  const text = /protobuf/i.test(type) ? messageOf(body) : /html/i.test(type) ? "" : body.toString("utf8");
  return text.replace(/\s+/g, " ").trim().slice(0, WORDS_MAX) || reason;
}
