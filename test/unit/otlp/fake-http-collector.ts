/** An HTTP server on loopback that stands where a Collector would: says what it got, answers as it is told. */
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

export interface HttpReceived {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Without compression. */
  readonly body: Buffer;
}

export type HttpAnswer = (response: ServerResponse) => void;

export interface FakeHttpCollector extends AsyncDisposable {
  readonly port: number;
  readonly received: readonly HttpReceived[];
}

export const OK: HttpAnswer = (response) => response.writeHead(200, { "content-type": "application/x-protobuf" }).end();

export function answer(status: number, headers: Record<string, string> = {}, body: string | Buffer = ""): HttpAnswer {
  return (response) => response.writeHead(status, headers).end(body);
}

/** @param answers one a request; the last one for all that follow */
export async function startFakeHttpCollector(
  answers: readonly HttpAnswer[],
  tls?: ServerOptions,
): Promise<FakeHttpCollector> {
  const received: HttpReceived[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = Buffer.concat(chunks);
      const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw;
      const act = answers[Math.min(received.length, answers.length - 1)] ?? OK;
      received.push({ path: request.url ?? "", headers: request.headers, body });
      act(response);
    });
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
