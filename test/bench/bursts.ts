/**
 * Bursts of round trips or of bulk between two pods (burst.c), each end on a CPU of its own from start to end, so that no
 * burst pays for a task that moves.
 */

import { eventually, type LabProcess } from "../lab/programs/process.ts";
import { program, run } from "../lab/programs/run.ts";
import type { Listener, Workload } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";

const CLIENT_CPU = 0;
const SERVER_CPU = 1;
/** For a row's `how`. */
export const PINNED = `the client on CPU ${CLIENT_CPU}, the server on CPU ${SERVER_CPU}`;

/** As burst.c prints it. */
export interface Burst {
  readonly operations: number;
  readonly elapsed_ns: number;
  /** Of both ends, with their softirqs. */
  readonly cpu_ns: number;
  readonly p50_ns: number;
  readonly p99_ns: number;
}

export class Bursts {
  readonly #server: Workload;
  readonly #client: LabProcess;
  readonly #results: Burst[];

  private constructor(server: Workload, client: LabProcess, results: Burst[]) {
    this.#server = server;
    this.#client = client;
    this.#results = results;
  }

  /** Between the pods `client` and `server` of a lab with one node. */
  static async start(lab: Lab, listen: readonly Listener[]): Promise<Bursts> {
    const server = await lab.pod("server").serve({ listen, workers: 1 });
    const results: Burst[] = [];
    const client = lab.pod("client").spawn([program("burst"), lab.pod("server").ips.v4, lab.nodeCgroup("node-1")], {
      onStdout: (line) => results.push(JSON.parse(line) as Burst),
    });
    await pin(server.process.pid, SERVER_CPU);
    await pin(client.pid, CLIENT_CPU);
    return new Bursts(server, client, results);
  }

  /** One at a time. */
  play(kind: "ping" | "bulk", port: number, ms: number, bytes: number): Promise<Burst> {
    this.#client.command(`${kind} ${port} ${ms} ${bytes}`);
    return eventually(
      () => `a burst: ${this.#client.describe()}`,
      () => {
        if (!this.#client.isRunning) throw new Error(this.#client.describe());
        return this.#results.shift();
      },
      ms + 60_000,
    );
  }

  async close(): Promise<void> {
    await this.#client.stop();
    await this.#server.close();
  }
}

async function pin(pid: number, cpu: number): Promise<void> {
  await run(["taskset", "--all-tasks", "--pid", "--cpu-list", String(cpu), String(pid)]);
}
