/**
 * One GET to the API server → its answer as a stream, or an ApiFailure.
 *
 * Each request has its own connection: a watch keeps it for minutes, and whatever was rotated counts from
 * the next one on. Every wait has an end, also for a server that trickles. Nothing is retried here.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Connection } from "./connection.ts";
import { ApiFailure, networkFailure, statusFailure } from "./failure.ts";
import { parseJson } from "./json.ts";
import { field, text } from "./trim.ts";

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

/** @returns the body of a 200; the caller reads or destroys it */
export async function get(
  connection: Connection,
  { path, query, silenceMs, signal }: GetOptions,
): Promise<IncomingMessage> {
  const { server, options } = await unlessAborted(signal, connection.credentials());
  const url = new URL(server);
  url.pathname = `${server.pathname.replace(/\/$/, "")}${path}`;
  url.search = new URLSearchParams(query).toString();
  const headers = { accept: "application/json", "user-agent": "flowspan", ...options.headers };
  const start = url.protocol === "http:" ? httpRequest : httpsRequest;

  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = start(url, { agent: false, ...options, headers, signal });
    const patience = new Patience(sent, silenceMs, "no answer to the request");
    sent.on("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    sent.on("response", (response) => {
      // What befalls the socket later is told to the request; the answer alone would only say that it broke off.
      sent.on("error", (error) => response.destroy(networkFailure(error)));
      resolve(response);
    });
    sent.on("error", (error) => reject(networkFailure(error)));
    for (const end of ["response", "error", "close"]) sent.on(end, () => patience.end());
    sent.end();
  });
  if (answer.statusCode === 200) return answer;
  if (answer.statusCode === 401) connection.refused();
  throw statusFailure(answer.statusCode ?? 0, await errorMessage(answer, silenceMs), answer.headers["retry-after"]);
}

/** An exec plugin may take its time, and may be at it when the agent is told to end. */
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
async function readText(answer: IncomingMessage, withinMs: number): Promise<string> {
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
