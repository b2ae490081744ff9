/**
 * A TCP relay on a free port of loopback, before a real server: it counts connections, and breaks or refuses them
 * when a test says so. What goes through it is not looked at.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Relay {
  readonly #target: number;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #accepted = 0;

  /** @param target port of loopback */
  constructor(target: number) {
    this.#target = target;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections of clients that are open now. */
  get open(): number {
    return this.#open.size;
  }

  /** Connections of clients since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Listens; after `refuse`, on the same port again. */
  async accept(): Promise<void> {
    const server = createServer((client) => this.#join(client));
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Breaks all connections; new ones are welcome. */
  drop(): void {
    for (const client of this.#open) client.destroy();
  }

  /** Breaks all connections and listens no more. */
  async refuse(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    this.drop();
    await closed;
  }

  #join(client: Socket): void {
    this.#accepted++;
    this.#open.add(client);
    const target = connect(this.#target, "127.0.0.1");
    // Either end may break off: the other one is told by the end of its own connection.
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
    client.on("close", () => this.#open.delete(client));
  }
}
