/**
 * Who stands before a gRPC server and has not been let in: gRPC keeps its servers to itself and tells nobody.
 *
 * A connection costs 70 KiB with TLS, before anybody has shown a token. So only some may wait, and not for long. The oldest one makes
 * room for the newest: an agent shows its token at once, and who holds connections open keeps nobody out. An agent without the
 * certificate that is demanded fails here, too, before any call; so does whoever speaks something else.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Server, type Socket } from "node:net";
import { Server as TlsServer } from "node:tls";

/** Node's own word when a server begins to listen. */
const LISTENING = "tracing:net.server.listen:asyncStart";

/** `tls`: no TLS came to be; `timeout`: no call was let in; `too_many`: others came, and this one still waited. */
export type PendingRefusal = "tls" | "timeout" | "too_many";

export interface PendingOptions {
  /** How many connections may wait to be let in. */
  readonly maxWaiting: number;
  /** How long a connection may wait, with TLS from when that stands, milliseconds. */
  readonly idleMs: number;
  readonly onRefusal: (reason: PendingRefusal) => void;
}

export class PendingConnections {
  readonly #options: PendingOptions;
  /** By `ADDRESS:PORT` of the peer, the oldest first. */
  readonly #waiting = new Map<string, Socket>();

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  /**
   * @param listen begins to listen; servers that do so meanwhile have their connections watched from then on
   * @returns what `listen` gives
   */
  async watch<T>(listen: () => Promise<T>): Promise<T> {
    const onListening = (message: unknown) => {
      const { server } = message as { server: unknown };
      if (server instanceof Server) this.#guard(server);
    };
    subscribe(LISTENING, onListening);
    try {
      return await listen();
    } finally {
      unsubscribe(LISTENING, onListening);
    }
  }

  /** @param peer that was let in: `ADDRESS:PORT`, as a call names it */
  admit(peer: string): void {
    this.#waiting.delete(peer);
  }

  #guard(server: Server): void {
    const { maxWaiting, onRefusal } = this.#options;
    server.on("connection", (socket: Socket) => {
      const peer = peerOf(socket);
      this.#waiting.set(peer, socket);
      socket.once("close", () => {
        if (this.#waiting.get(peer) === socket) this.#waiting.delete(peer);
      });
      const [oldest] = this.#waiting.keys();
      if (this.#waiting.size > maxWaiting && oldest !== undefined) this.#refuse(oldest, "too_many");
    });
    // Before that, TLS has a time of its own.
    const isTls = server instanceof TlsServer;
    server.on(isTls ? "secureConnection" : "connection", (socket: Socket) => this.#expire(socket));
    if (isTls) server.on("tlsClientError", () => onRefusal("tls"));
  }

  #expire(socket: Socket): void {
    const peer = peerOf(socket);
    const waiting = this.#waiting.get(peer);
    const refuse = () => {
      if (waiting !== undefined && this.#waiting.get(peer) === waiting) this.#refuse(peer, "timeout");
    };
    const timer = setTimeout(refuse, this.#options.idleMs);
    socket.once("close", () => clearTimeout(timer));
  }

  #refuse(peer: string, reason: PendingRefusal): void {
    this.#waiting.get(peer)?.destroy();
    this.#waiting.delete(peer);
    this.#options.onRefusal(reason);
  }
}

/** As a call names its peer. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
