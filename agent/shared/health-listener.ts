/**
 * HTTP over TCP for a kubelet's probes, which anybody on the network may connect to: bounded in connections, time and bytes.
 *
 * A kubelet asks at once and is answered at once. So where there are too many connections, the oldest one is closed and the
 * newest stays: who holds connections open keeps nobody out. What is refused is counted, and told to the peer alone: a log
 * line for each would let a peer fill the log.
 */
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { ListenOptions, Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface HealthListenerOptions {
  /** How many connections may be open. */
  readonly maxConnections?: number;
  /** How long a connection may take to send its request, milliseconds. */
  readonly requestMs?: number;
}

export interface HealthListener {
  /** The port that was taken. */
  readonly port: number;
  /** Connections that were closed without an answer, since the start, by reason: `too_many`, `timeout`, `invalid`. */
  refusals(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 256;
const REQUEST_MS = 5_000;
const HEADER_BYTES = 4_096;

/**
 * Listens on `HOST:PORT`; port 0 takes a free one.
 *
 * @throws Error of the system when the address cannot be had
 */
export async function listenForHealth(
  address: string,
  onRequest: RequestListener,
  { maxConnections = MAX_CONNECTIONS, requestMs = REQUEST_MS }: HealthListenerOptions = {},
): Promise<HealthListener> {
  const refusals: Record<string, number> = {};
  const refuse = (socket: Duplex, reason: string, [status, message]: readonly [string, string]) => {
    refusals[reason] = (refusals[reason] ?? 0) + 1;
    const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain\r\n`;
    if (socket.writable) socket.write(`${head}content-length: ${message.length}\r\n\r\n${message}`);
    (socket as Socket).destroySoon();
  };
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: Math.ceil(requestMs / 5),
    },
    (request, response) => {
      response.setHeader("connection", "close");
      onRequest(request, response);
    },
  );
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    const [oldest] = open;
    if (open.size <= maxConnections || oldest === undefined) return;
    open.delete(oldest);
    refuse(oldest, "too_many", ["503 Service Unavailable", `more than ${maxConnections} connections are open\n`]);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET") socket.destroy();
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") refuse(socket, "timeout", tooSlow(requestMs));
    else refuse(socket, "invalid", ["400 Bad Request", `no request of at most ${HEADER_BYTES} bytes\n`]);
  });
  server.listen(listenOptions(address));
  await once(server, "listening");
  const bound = server.address();
  return {
    port: typeof bound === "object" ? (bound?.port ?? 0) : 0,
    refusals: () => ({ ...refusals }),
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function tooSlow(requestMs: number): readonly [string, string] {
  return ["408 Request Timeout", `no whole request within ${requestMs} ms\n`];
}

function listenOptions(address: string): ListenOptions {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(address.slice(colon + 1));
  return host === "" ? { port } : { host, port };
}
