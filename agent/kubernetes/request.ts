/**
 * One GET to the API server → its answer as a stream, or an ApiFailure.
 *
 * Each request has its own connection: a watch keeps it for minutes, and whatever was rotated counts from
 * the next one on. Nothing is retried here.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Connection } from "./connection.ts";
import { ApiFailure, networkFailure, statusFailure } from "./failure.ts";

const KEEP_ALIVE_MS = 15_000;
const ERROR_BODY_MAX = 64 * 1024;

export interface GetOptions {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** No byte for this long, before or within the answer, is a failure with reason `silent`. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

/** @returns the body of a 200; the caller reads or destroys it */
export async function get(
  connection: Connection,
  { path, query, silenceMs, signal }: GetOptions,
): Promise<IncomingMessage> {
  const { server, options } = await connection.credentials();
  const url = new URL(server);
  url.pathname = `${server.pathname.replace(/\/$/, "")}${path}`;
  url.search = new URLSearchParams(query).toString();
  const headers = { accept: "application/json", "user-agent": "flowspan", ...options.headers };
  const start = url.protocol === "http:" ? httpRequest : httpsRequest;

  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = start(url, { agent: false, ...options, headers, signal });
    sent.setTimeout(silenceMs, () => sent.destroy(new ApiFailure("silent", "no answer to the request")));
    sent.on("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    sent.on("response", (response) => {
      response.setTimeout(silenceMs, () => response.destroy(new ApiFailure("silent", `no word for ${silenceMs} ms`)));
      resolve(response);
    });
    sent.on("error", (error) => reject(networkFailure(error)));
    sent.end();
  });
  if (answer.statusCode === 200) return answer;
  if (answer.statusCode === 401) connection.refused();
  throw statusFailure(answer.statusCode ?? 0, await errorMessage(answer), answer.headers["retry-after"]);
}

/** The `message` of the Status object that errors carry, or the start of the text. */
async function errorMessage(answer: IncomingMessage): Promise<string> {
  const text = await readText(answer, ERROR_BODY_MAX);
  try {
    const status: unknown = JSON.parse(text);
    if (typeof status === "object" && status !== null && "message" in status) return String(status.message);
  } catch {
    // Not JSON: a proxy's page. Its text is the message.
  }
  return text.slice(0, 200);
}

/** The whole body, or as much of it as `maxBytes`. Throws an ApiFailure when it breaks off. */
export async function readText(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) break;
    }
  } catch (error) {
    throw networkFailure(error);
  }
  return Buffer.concat(chunks).toString("utf8");
}
