/**
 * A probe that does what a test says: a server on a Unix socket of its own.
 *
 * The only fake of these tests. It speaks frames and knows no order: also the wrong ones can be sent.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandRecords, FrameKind } from "../../../agent/generated/layout.ts";
import type { RecordSums } from "../../../agent/source/commands.ts";
import { type Frame, FrameSplitter, packFrames } from "../../../agent/source/frames.ts";
import { type ExchangeValues, exchangeFrames, helloFrame, settledFrame } from "./frames-builder.ts";

const KIND_NAMES = new Map<number, string>(Object.entries(FrameKind).map(([name, kind]) => [kind, name]));

/** A queue whose takers wait for what comes. */
class Inbox<Value> {
  readonly #values: Value[] = [];
  readonly #takers: ((value: Value) => void)[] = [];

  put(value: Value): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#values.push(value);
    else taker(value);
  }

  take(): Promise<Value> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}

/** The probe's side of one connection. */
export class FakeConnection {
  readonly #socket: Socket;
  readonly #inbox = new Inbox<Frame>();
  /** What the agent said of records, apart from its other commands: it says so at any time. */
  readonly #told = new Inbox<RecordSums>();
  readonly #closed: Promise<unknown>;

  constructor(socket: Socket) {
    const splitter = new FrameSplitter();
    this.#socket = socket;
    // Not once(): an error comes before it where bytes were on their way to an agent that has gone.
    this.#closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      splitter.push(chunk, (kind, payload) => {
        if (kind === FrameKind.COMMAND_RECORDS) this.#told.put(recordAccount(payload));
        else this.#inbox.put({ kind, payload });
      });
    });
  }

  send(...frames: readonly Frame[]): void {
    this.#socket.write(packFrames(frames));
  }

  sendBytes(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The next command, by name. */
  async command(): Promise<string> {
    return KIND_NAMES.get((await this.#inbox.take()).kind) ?? "unknown";
  }

  async commandFrame(): Promise<Frame> {
    return this.#inbox.take();
  }

  async commands(count: number): Promise<string[]> {
    const names: string[] = [];
    while (names.length < count) names.push(await this.command());
    return names;
  }

  /** What the agent says next of the records that it was sent. */
  async recordsTold(): Promise<RecordSums> {
    return this.#told.take();
  }

  /** Stops reading: the agent's writes begin to wait. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Dies as a killed process does: what was written still arrives. */
  die(): void {
    this.#socket.end();
    this.#socket.once("finish", () => this.#socket.destroy());
  }

  /** Resolves when the agent has gone. */
  async closed(): Promise<void> {
    await this.#closed;
  }

  /** Waits for COMMAND_EXCHANGE and answers it. */
  async answerExchange(values: ExchangeValues = {}): Promise<void> {
    const command = await this.command();
    if (command !== "COMMAND_EXCHANGE") throw new Error(`expected COMMAND_EXCHANGE, got ${command}`);
    this.send(...exchangeFrames(values));
  }

  /** Waits for `rows` settles and the flush behind them, confirms, and returns the rows. */
  async answerSettles(rows: number): Promise<Buffer[]> {
    const settled: Buffer[] = [];
    for (;;) {
      const { kind, payload } = await this.#inbox.take();
      if (kind === FrameKind.COMMAND_FLUSH) break;
      if (kind !== FrameKind.COMMAND_SETTLE) throw new Error(`expected a settle, got ${KIND_NAMES.get(kind)}`);
      settled.push(Buffer.from(payload));
    }
    if (settled.length !== rows) throw new Error(`expected ${rows} settles, got ${settled.length}`);
    this.send(settledFrame({ rows }));
    return settled;
  }
}

function recordAccount(payload: Buffer): RecordSums {
  const { agent, received, settled } = commandRecords.fields;
  return {
    agent: payload.readBigUInt64LE(agent.offset),
    received: Number(payload.readBigUInt64LE(received.offset)),
    resolved: Number(payload.readBigUInt64LE(settled.offset)),
  };
}

export class FakeProbe {
  readonly #directory = mkdtempSync(join(tmpdir(), "flowspan-fake-probe-"));
  readonly #connections = new Inbox<FakeConnection>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  get path(): string {
    return join(this.#directory, "probe.sock");
  }

  async listen(): Promise<this> {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.#connections.put(new FakeConnection(socket));
    });
    this.#server.listen(this.path);
    await once(this.#server, "listening");
    return this;
  }

  /** The next connection, before anything was said on it. */
  accept(): Promise<FakeConnection> {
    return this.#connections.take();
  }

  /** The next connection, with a HELLO said. */
  async welcome(hello: Parameters<typeof helloFrame>[0] = {}): Promise<FakeConnection> {
    const connection = await this.accept();
    connection.send(helloFrame(hello));
    return connection;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server !== undefined) {
      this.#server.close();
      await once(this.#server, "close");
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
