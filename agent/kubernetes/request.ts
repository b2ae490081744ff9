/**
 * One request to the API server → its answer as a stream, or an ApiFailure.
 *
 * Each request has its own connection: a watch keeps it for minutes, and whatever was rotated counts from
 * the next one on. Every wait has an end, also for a server that trickles. Nothing is retried here.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { type ApiProxy, bareHost, userinfoOf } from "./api-proxy.ts";
import type { Connection, Credentials } from "./connection.ts";
import { type Asked, explain } from "./explain.ts";
import { ApiFailure, networkFailure, statusFailure } from "./failure.ts";
import { parseJson } from "./json.ts";
import { field, text } from "./trim.ts";
import { openTunnel, proxyAuthorization, proxyFailure, proxyRefusal } from "./tunnel.ts";

/** A dead peer is noticed after this and ten probes of a second, as libuv sets them. */
const KEEP_ALIVE_MS = 15_000;
const ERROR_BODY_MAX = 64 * 1024;
const MESSAGE_MAX = 400;

export interface GetOptions {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** An answer that has not begun by then is a failure with reason `silent`; so is an error's text by then. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

export interface PostOptions extends GetOptions {
  /** Sent as JSON. */
  readonly body: object;
}

/** @returns the body of a 200; the caller reads or destroys it */
export function get(connection: Connection, options: GetOptions): Promise<IncomingMessage> {
  return ask(connection, options);
}

/** @returns the body of a 200 or 201; the caller reads or destroys it */
export function post(connection: Connection, options: PostOptions): Promise<IncomingMessage> {
  return ask(connection, options);
}

type AskOptions = GetOptions & Partial<PostOptions>;

async function ask(connection: Connection, options: AskOptions): Promise<IncomingMessage> {
  const credentials = await unlessAborted(options.signal, connection.credentials());
  try {
    return await answerOf(connection, credentials, options);
  } catch (error) {
    throw withoutSecrets(explain(networkFailure(error), credentials, askedBy(options)), credentials);
  }
}

/** A server, or what stands before it, may say in its refusal what it was sent. */
function withoutSecrets(failure: ApiFailure, { options, proxy }: Credentials): ApiFailure {
  const { authorization = "" } = (options.headers ?? {}) as { readonly authorization?: string };
  const sent = [authorization.replace(/^\w+ /, ""), proxy === undefined ? "" : userinfoOf(proxy).password.toString()];
  const secrets = sent.filter((secret) => secret !== "" && failure.message.includes(secret));
  if (secrets.length === 0) return failure;
  const { reason, retryAfterMs, cause, remedy } = failure;
  const message = secrets.reduce((text, secret) => text.replaceAll(secret, "[redacted]"), failure.message);
  return new ApiFailure(reason, message, { retryAfterMs, cause, remedy });
}

async function answerOf(
  connection: Connection,
  credentials: Credentials,
  { path, query, silenceMs, signal, body }: AskOptions,
): Promise<IncomingMessage> {
  const { server, proxy } = credentials;
  const content = body && JSON.stringify(body);
  const url = new URL(server);
  url.pathname = `${server.pathname.replace(/\/$/, "")}${path}`;
  url.search = new URLSearchParams(query).toString();
  const start = await starterOf(url, sending(credentials, content), silenceMs, signal);

  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = start();
    const patience = new Patience(sent, silenceMs, "no answer to the request");
    sent.on("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    sent.on("response", (response) => {
      // What happens to the socket later is reported to the request; the answer alone would only report that it broke off.
      sent.on("error", (error) => response.destroy(networkFailure(error)));
      resolve(response);
    });
    sent.on("error", (error) => reject(networkFailure(error)));
    for (const end of ["response", "error", "close"]) sent.on(end, () => patience.end());
    sent.end(content);
  });
  const { statusCode = 0 } = answer;
  if (statusCode === 200 || (content !== undefined && statusCode === 201)) return answer;
  if (statusCode === 401) connection.refused();
  if (statusCode === 407 && proxy !== undefined) {
    answer.destroy();
    throw proxyRefusal(proxy, statusCode);
  }
  throw statusFailure(statusCode, await errorMessage(answer, silenceMs), answer.headers["retry-after"]);
}

function sending(credentials: Credentials, content: string | undefined): Credentials {
  if (content === undefined) return credentials;
  const ofContent = { "content-type": "application/json", "content-length": Buffer.byteLength(content) };
  const headers = { ...(credentials.options.headers as OutgoingHttpHeaders), ...ofContent };
  return { ...credentials, options: { ...credentials.options, method: "POST", headers } };
}

/** An exec plugin may take its time, and may still run when the agent has to end. */
async function unlessAborted<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new ApiFailure("closed", "stopped"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** What sends the request: straight to the server, to the proxy, or through a tunnel that is open then. */
export async function starterOf(
  url: URL,
  { server, options, proxy }: Pick<Credentials, "server" | "options" | "proxy">,
  silenceMs: number,
  signal: AbortSignal,
): Promise<() => ClientRequest> {
  const headers = { accept: "application/json", "user-agent": "flowspan", ...options.headers };
  const all = { agent: false as const, ...options, headers, signal };
  if (proxy === undefined) return () => (url.protocol === "http:" ? httpRequest(url, all) : httpsRequest(url, all));
  if (url.protocol === "http:" && proxy.url.protocol.startsWith("http"))
    return () => throughPlainProxy(url, proxy, all);
  const within = AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]);
  const socket = await openTunnel(proxy, server, options, within);
  if (url.protocol === "http:") {
    const createConnection = () => socket as Socket;
    return () => httpRequest(url, { ...all, agent: undefined, createConnection });
  }
  const host = bareHost(server);
  // A certificate for an address is not asked for by name.
  const servername = options.servername ?? (isIP(host) === 0 ? host : "");
  const createConnection = () => connectTls({ ...options, socket, host, servername } as ConnectionOptions);
  return () => httpsRequest(url, { ...all, agent: undefined, createConnection });
}

/** Plain HTTP is not tunnelled: the proxy is asked for the whole URL. */
function throughPlainProxy(url: URL, proxy: ApiProxy, all: RequestOptions): ClientRequest {
  const authorization = proxyAuthorization(proxy);
  const headers = {
    ...all.headers,
    host: url.host,
    ...(authorization && { "proxy-authorization": authorization }),
  };
  const start = proxy.url.protocol === "https:" ? httpsRequest : httpRequest;
  const { hostname, port, protocol } = proxy.url;
  const sent = start({ ...all, protocol, hostname, port, path: url.href, headers });
  sent.prependOnceListener("error", (error) => sent.destroy(proxyFailure(proxy, error)));
  return sent;
}

/** The request in RBAC's words. */
function askedBy({ path, query, body }: AskOptions): Asked {
  if (body !== undefined) return { verb: "create", resource: path.split("/").at(-1) as string };
  if (!path.startsWith("/api")) return { verb: "get", resource: path };
  return { verb: query.watch === undefined ? "list" : "watch", resource: path.split("/").at(-1) as string };
}

/** Destroys a request or an answer with reason `silent` unless it is renewed or ended in time. */
export class Patience {
  readonly #timer: NodeJS.Timeout;

  constructor(stream: { destroy(error: Error): unknown }, ms: number, what: string) {
    this.#timer = setTimeout(() => stream.destroy(new ApiFailure("silent", `${what} for ${ms} ms`)), ms);
  }

  /** The time begins anew. */
  renew(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** The `message` of the Status object that errors carry, or the start of the text. */
async function errorMessage(answer: IncomingMessage, withinMs: number): Promise<string> {
  let body: string;
  try {
    body = await readText(answer, withinMs);
  } catch (error) {
    return `its text did not come: ${networkFailure(error).message}`; // the status says more than how that failed
  }
  const message = text(field(parseJson(body), "message"));
  return (message === "" ? body : message).slice(0, MESSAGE_MAX);
}

/** The text of an answer, or the beginning of it. Throws an ApiFailure when it breaks off or takes longer. */
export async function readText(answer: IncomingMessage, withinMs: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  const patience = new Patience(answer, withinMs, "the answer was not whole");
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > ERROR_BODY_MAX) break;
    }
  } catch (error) {
    throw networkFailure(error);
  } finally {
    patience.end();
  }
  return Buffer.concat(chunks).toString("utf8");
}
