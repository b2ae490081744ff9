/**
 * Traffic that goes on until it is told to stop, with its own exact counts: the ground truth for tests that
 * make trouble meanwhile.
 *
 *   client-1 ──► server-1   calls: batch after batch of short connections
 *   client-1 ──► server-1   kept: connections that outlive every trouble and move all the time
 *   client-1 ──► server-2   ┐ bursts: edges that wake up beside a busy edge whose flow they share, at the
 *   client-2 ──► server-1   ┘ client's end and at the server's, where peers have no names
 *
 * Calls come in batches that end by themselves: no connection is cut off half open, whose count would be in
 * doubt. Sizes and counts are primes.
 */

import { eventually } from "../programs/process.ts";
import type { ClientOptions, Counts, Workload } from "../programs/workload.ts";
import { type Description, describe } from "../world/describe.ts";
import type { Lab } from "../world/lab.ts";

const PORT = 8080;
const CALLS: Omit<ClientOptions, "to"> = { count: 23, paceMs: 5, upload: 1009, uploadStep: 1, download: 2003 };
const KEPT: Omit<ClientOptions, "to"> = { count: 5, everyMs: 17, upload: 101, download: 211 };
const BURST: Omit<ClientOptions, "to"> = { count: 7, upload: 5003, uploadStep: 3, download: 307 };

/** The pods that the traffic runs between: clients on one node, servers on the other. */
export function trafficPods(): Description {
  const pod = (key: string, node: string) => ({ key, node });
  return describe({
    pods: [pod("client-1", "node-1"), pod("client-2", "node-1"), pod("server-1", "node-2"), pod("server-2", "node-2")],
  });
}

/** What both ends counted themselves. */
export interface TrafficCounts {
  readonly client: Counts;
  readonly server: Counts;
}

export class Traffic {
  readonly #lab: Lab;
  readonly #servers: readonly Workload[];
  readonly #kept: Workload;
  readonly #calls: Promise<void>;
  readonly #ended: Counts[] = [];
  #failure: unknown;
  #isStopping = false;

  private constructor(lab: Lab, servers: readonly Workload[], kept: Workload) {
    this.#lab = lab;
    this.#servers = servers;
    this.#kept = kept;
    this.#calls = this.#callOn().catch((error) => {
      this.#failure = error;
    });
  }

  /** In a lab of trafficPods(); every edge has been used once when it resolves. */
  static async start(lab: Lab): Promise<Traffic> {
    const servers = ["server-1", "server-2"].map((key) => lab.pod(key).serve({ listen: [{ port: PORT }], workers: 1 }));
    const listening = await Promise.all(servers);
    const kept = lab.pod("client-1").start("hold", { to: [to(lab, "server-1")], ...KEPT });
    await kept.ready();
    const traffic = new Traffic(lab, listening, kept);
    await traffic.burst();
    return traffic;
  }

  /** Resolves when that many more calls have come to their end. */
  async more(calls: number): Promise<void> {
    const target = this.#opened + calls;
    await eventually(
      () => `${calls} more calls: ${target - this.#opened} are missing`,
      () => {
        if (this.#failure !== undefined) throw this.#failure;
        return this.#opened >= target;
      },
      30_000,
    );
  }

  /** Wakes up the edges that rest between bursts. */
  async burst(): Promise<void> {
    await Promise.all([this.#play("client-1", "server-2", BURST), this.#play("client-2", "server-1", BURST)]);
  }

  /** Ends all of it. @throws Error when a connection did not end as it should: then counts prove nothing */
  async stop(): Promise<TrafficCounts> {
    this.#isStopping = true;
    await this.#calls;
    if (this.#failure !== undefined) throw this.#failure;
    const client = sum([...this.#ended, await this.#kept.close()]);
    const server = await eventually(
      () => `the servers to have seen the end of ${client.opened} connections`,
      async () => {
        const counts = sum(await Promise.all(this.#servers.map((each) => each.counts())));
        return counts.closed === client.opened && counts;
      },
    );
    const troubled = { failed: {}, broken: {}, cancelled: 0 };
    const { failed, broken, cancelled } = client;
    if (JSON.stringify({ failed, broken, cancelled }) !== JSON.stringify(troubled))
      throw new Error(`the traffic itself was troubled: ${JSON.stringify(client)}`);
    return { client, server };
  }

  get #opened(): number {
    return this.#ended.reduce((opened, counts) => opened + counts.opened, 0);
  }

  async #callOn(): Promise<void> {
    while (!this.#isStopping) await this.#play("client-1", "server-1", CALLS);
  }

  async #play(client: string, server: string, options: Omit<ClientOptions, "to">): Promise<void> {
    this.#ended.push(await this.#lab.pod(client).play("send", { to: [to(this.#lab, server)], ...options }));
  }
}

function to(lab: Lab, server: string): { address: string; port: number } {
  return { address: lab.pod(server).ips.v4, port: PORT };
}

function sum(list: readonly Counts[]): Counts {
  const add = (pick: (counts: Counts) => number) => list.reduce((total, counts) => total + pick(counts), 0);
  return {
    opened: add((counts) => counts.opened),
    closed: add((counts) => counts.closed),
    failed: Object.assign({}, ...list.map((counts) => counts.failed)),
    broken: Object.assign({}, ...list.map((counts) => counts.broken)),
    cancelled: add((counts) => counts.cancelled),
    retried: add((counts) => counts.retried),
    bytesSent: add((counts) => counts.bytesSent),
    bytesReceived: add((counts) => counts.bytesReceived),
  };
}
