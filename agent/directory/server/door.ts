/**
 * Who stands before a gRPC server and has not been let in: gRPC keeps its servers to itself and tells nobody.
 *
 * A connection costs 70 KiB with TLS, before anybody has shown a token. So only some may wait. The oldest one makes room for the
 * newest: an agent shows its token at once, and who holds connections open keeps nobody out. An agent without the
 * certificate that is demanded fails here, too, before any call; so does whoever speaks something else.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Server, type Socket } from "node:net";
import { Server as TlsServer } from "node:tls";

/** Node's own word when a server begins to listen. */
const LISTENING = "tracing:net.server.listen:asyncStart";

export interface DoorOptions {
  /** How many connections may wait to be let in. */
  readonly maxWaiting: number;
  /** @param reason `tls`: no TLS came to be; `too_many`: others came, and this one still waited */
  readonly onRefusal: (reason: "tls" | "too_many") => void;
}

export class Door {
  readonly #options: DoorOptions;
  /** By `ADDRESS:PORT` of the peer, the oldest first. */
  readonly #waiting = new Map<string, Socket>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /**
   * @param listen begins to listen; servers that do so meanwhile have this door from then on
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
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      this.#waiting.set(peer, socket);
      socket.once("close", () => {
        if (this.#waiting.get(peer) === socket) this.#waiting.delete(peer);
      });
      const [oldest] = this.#waiting;
      if (this.#waiting.size <= maxWaiting || oldest === undefined) return;
      this.#waiting.delete(oldest[0]);
      oldest[1].destroy();
      onRefusal("too_many");
    });
    if (server instanceof TlsServer) server.on("tlsClientError", () => onRefusal("tls"));
  }
}
