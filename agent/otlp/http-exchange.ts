/**
 * One POST and its answer, by node:http and node:https.
 *
 * The time that it may take is one deadline from the first byte to the last, also against a server that sends a byte now
 * and then. Nothing is followed, decoded or tried again here.
 */
import { type Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";

export interface Answer {
  readonly status: number;
  /** The words of the status line. */
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  /** Empty where the body broke off or was longer than ANSWER_MAX_BYTES: the status alone decides then. */
  readonly body: Buffer;
}

export interface Post {
  readonly url: URL;
  /** A Unix socket instead of the URL's host. */
  readonly socketPath: string | undefined;
  readonly agent: Agent;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

/** A whole answer did not come in time. */
export class TimeoutError extends Error {
  readonly code = "timeout";
}

/** OTLP: "the client SHOULD limit" what it reads; a response holds counts and a message. */
const ANSWER_MAX_BYTES = 4 * 1024 * 1024;

/** @throws Error of Node with its `code`, or TimeoutError: there is no answer */
export function post({ url, socketPath, agent, headers, body, timeoutMs }: Post): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(url, {
      method: "POST",
      agent,
      headers: { ...headers, "content-length": String(body.length) },
      ...(socketPath !== undefined && { socketPath }),
    });
    const timer = setTimeout(() => {
      const isConnected = request.socket?.connecting === false;
      request.destroy(new TimeoutError(isConnected ? "no answer in time" : "no connection in time"));
    }, timeoutMs);
    request.once("close", () => clearTimeout(timer));
    // Once a status has come, the request was taken or refused, whatever becomes of the body.
    let broken = (error: Error) => reject(error);
    request.on("error", (error) => broken(error));
    request.once("response", (response) => {
      const { statusCode: status = 0, statusMessage: reason = "", headers } = response;
      broken = () => resolve({ status, reason, headers, body: Buffer.alloc(0) });
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size <= ANSWER_MAX_BYTES) chunks.push(chunk);
        else response.destroy();
      });
      response.once("end", () => resolve({ status, reason, headers, body: Buffer.concat(chunks) }));
      response.on("error", (error) => broken(error));
      response.once("close", () => broken(new Error("closed")));
    });
    request.end(body);
  });
}

/** How long a server asks to be left alone: seconds or a date. @returns undefined where it does not say so */
export function retryAfterMs({ "retry-after": text }: IncomingHttpHeaders, nowUnixMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text.trim())) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowUnixMs);
}
