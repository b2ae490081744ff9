/**
 * A cluster of many pods on three nodes whose traffic is requests, each on a connection of its own: what costs flowspan the
 * most, since it pays for connections and pairs, not for requests.
 *
 *   half of the pods call, in deployments of five ──► ten pods each of the other half, in turn
 *
 * Each pod has a net namespace, a cgroup, an address and one process.
 */

import { cpus } from "node:os";
import type { Workload } from "../lab/programs/workload.ts";
import { describe, type LabInput } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { busyCores } from "./machine-load.ts";

export const NODES = 3;
const PODS_A_DEPLOYMENT = 5;
const CALLED_BY_EACH = 10;
const PORT = 8080;
/** So many processes start at once. */
const AT_ONCE = 25;
const STEPS = 5;
/** Share of all CPUs that may be busy, so that what was not asked for has room, too. */
const FULL = 0.85;
/** Hundreds of clients answer on cores that their traffic fills. */
const ANSWER_MS = 120_000;
/** The kernel's default has room for 1,024 in all namespaces together. */
const NEIGHBOURS = 16_384;

export function startCluster(pods: number): Promise<Lab> {
  const half = pods / 2;
  const input: LabInput = {
    nodes: NODES,
    podPrefixLength: 20,
    pods: Array.from({ length: pods }, (_, pod) => {
      const key = pod < half ? `caller-${pod}` : `called-${pod - half}`;
      const kind = pod < half ? "caller" : "called";
      const deployment = Math.floor((pod % half) / PODS_A_DEPLOYMENT);
      return { key, owner: `${kind}-${deployment}`, namespace: "shop", node: `node-${(pod % NODES) + 1}` };
    }),
  };
  return startLab(describe(input));
}

export class ClusterTraffic {
  readonly #clients: readonly Workload[];

  private constructor(clients: readonly Workload[]) {
    this.#clients = clients;
  }

  /**
   * Starts all servers, then the callers a fifth at a time until the machine is full: beyond that, it would measure the
   * machine and not flowspan. When it resolves, requests flow.
   */
  static async start(lab: Lab, perSecond: number): Promise<ClusterTraffic> {
    lab.limitNeighbourTable("v4", NEIGHBOURS);
    const half = lab.description.pods.length / 2;
    await inBatches(half, (pod) => lab.pod(`called-${pod}`).serve({ listen: [{ port: PORT }], workers: 1 }));
    const paceMs = (1000 * half) / perSecond;
    const clients: Workload[] = [];
    const traffic = new ClusterTraffic(clients);
    const step = Math.ceil(half / STEPS);
    while (clients.length < half) {
      const last = Math.min(half, clients.length + step);
      while (clients.length < last) clients.push(startCaller(lab, clients.length, half, paceMs));
      await traffic.counts();
      if ((await busyCores(1)) > FULL * cpus().length) break;
    }
    return traffic;
  }

  /** How many requests were answered since the start, and how many were not. */
  async counts(): Promise<{ readonly answered: number; readonly failed: number }> {
    const all = await Promise.all(this.#clients.map((client) => client.counts(ANSWER_MS)));
    const sum = (record: Readonly<Record<string, number>>) => Object.values(record).reduce((a, b) => a + b, 0);
    return {
      answered: all.reduce((total, { closed }) => total + closed, 0),
      failed: all.reduce((total, { failed, broken }) => total + sum(failed) + sum(broken), 0),
    };
  }
}

function startCaller(lab: Lab, pod: number, half: number, paceMs: number): Workload {
  // 7 and 11: neighbours call different deployments.
  const called = Array.from({ length: CALLED_BY_EACH }, (_, i) => `called-${(pod * 7 + i * 11) % half}`);
  const to = called.map((key) => ({ address: lab.pod(key).ips.v4, port: PORT }));
  const options = { to, count: 0, workers: 1, parallel: 16, upload: 512, download: 4096, paceMs };
  return lab.pod(`caller-${pod}`).start("churn", options);
}

async function inBatches<T>(count: number, start: (index: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let from = 0; from < count; from += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => start(from + i));
    all.push(...(await Promise.all(batch)));
  }
  return all;
}
