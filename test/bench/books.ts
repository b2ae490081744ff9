/**
 * A probe of the lab and this process in the agent's place: asks for exchanges, settles every row at once,
 * and keeps the sums. For what concerns the kernel and the probe alone.
 */
import { EDGE_COUNTERS, type EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Role } from "../../agent/model/edge.ts";
import { decodeEdgeKey } from "../../agent/source/edge-key.ts";
import { ProbeClient } from "../../agent/source/probe-client.ts";
import type { ExchangeData } from "../../agent/source/source.ts";
import { NodeAgent } from "../lab/agents/agents.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";

const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
const KEPT = ["opened", "closed", "bytesSent", "bytesReceived"] as const satisfies readonly EdgeCountersField[];

export type Sums = Record<(typeof KEPT)[number] | "open", number>;

/** One node, so that one probe counts both ends, as on a machine. */
export function oneNode(): Promise<Lab> {
  return startLab(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
}

export class Books {
  readonly #node: NodeAgent;
  readonly #onConnection: ((connection: Connection) => void) | undefined;
  #source: ProbeClient;
  readonly sums: Readonly<Record<Role, Sums>> = { client: zeros(), server: zeros(), listener: zeros() };
  #last: ExchangeData | undefined;

  private constructor(node: NodeAgent, onConnection?: (connection: Connection) => void) {
    this.#node = node;
    this.#onConnection = onConnection;
    this.#source = this.#connect();
  }

  /** Starts a probe for the lab's only node. */
  static async open(lab: Lab, onConnection?: (connection: Connection) => void): Promise<Books> {
    const node = new NodeAgent(lab, "node-1", { endpoint: "http://127.0.0.1:1" });
    await node.startProbe();
    const books = new Books(node, onConnection);
    await books.exchange();
    return books;
  }

  get node(): NodeAgent {
    return this.#node;
  }

  /** The newest exchange. */
  get last(): ExchangeData {
    if (this.#last === undefined) throw new Error("no exchange was made");
    return this.#last;
  }

  /** The kernel's and the probe's losses that are not zero. */
  get losses(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.last.status.losses).filter(([, count]) => count > 0));
  }

  /** Runs of hooks that the kernel skipped, which their twins must have taken. */
  get skipped(): number {
    return this.last.programs.reduce((sum, { recursionMisses }) => sum + recursionMisses, 0);
  }

  async exchange(): Promise<ExchangeData> {
    const exchange = await this.#source.exchange();
    if (exchange === undefined) throw new Error("the probe has ended");
    for (const sums of Object.values(this.sums)) sums.open = 0;
    for (const { id, counters, open } of exchange.rows) {
      const sums = this.sums[decodeEdgeKey(id).role];
      for (const name of KEPT) sums[name] += counters[EDGE_COUNTERS.indexOf(name)] ?? 0;
      sums.open += open;
    }
    this.#source.settle(exchange.rows);
    await this.#source.flush();
    this.#last = exchange;
    return exchange;
  }

  /**
   * Exchanges until both ends have closed that many, since the last FIN of a connection may still be on its way.
   */
  async untilClosed(connections: number): Promise<void> {
    const { client, server } = this.sums;
    await this.until(() => Math.min(client.closed, server.closed) >= connections);
  }

  /** Exchanges until the condition holds. Gives up after five seconds: then the numbers say what is missing. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + 5_000;
    do {
      await this.exchange();
    } while (!condition() && performance.now() < deadline);
  }

  /** Leaves the probe to another agent while `body` runs, which must settle nothing that is not known here. */
  async lend<T>(body: () => Promise<T>): Promise<T> {
    await this.#source.close();
    try {
      return await body();
    } finally {
      this.#source = this.#connect();
    }
  }

  /** Ends the probe and detaches its programs. */
  async close(): Promise<void> {
    await this.#source.close();
    await this.#node.stop();
    await this.#node.unpin();
  }

  #connect(): ProbeClient {
    const connection = this.#onConnection;
    const listeners = connection === undefined ? {} : { listeners: { connection } };
    const source = new ProbeClient({ path: this.#node.probeSocket, log: SILENT, ...listeners });
    source.settings({ idleNs: 300_000_000_000n, records: connection !== undefined, recordsAtOnce: true });
    return source;
  }
}

function zeros(): Sums {
  return { opened: 0, closed: 0, bytesSent: 0, bytesReceived: 0, open: 0 };
}
