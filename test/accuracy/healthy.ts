/**
 * Healthy but restless traffic: bursts of connections, bulk, long-lived pools, rolling restarts, deleted pods, workloads at zero. Nothing of
 * it is a finding.
 *
 * Whoever goes, goes as Kubernetes has it: first nobody sends to it any more, then it ends. A connect to a server that is gone already would be
 * a right finding. Time is compressed: what happens in an interval of 15 s happens here in one that is as short as the agents' interval.
 */
import { ObservedLab } from "../lab/agents/observed.ts";
import type { Workload } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { labPodObject } from "../lab/world/lab-objects.ts";
import { Random } from "../torture/program.ts";
import { forgetPoints } from "./forget.ts";
import { SERVED } from "./inject.ts";
import { CLUSTER, PODS, peersOf } from "./scenario.ts";

const POOL = { upload: 2_003, download: 9_001, everyMs: 200 } as const;

export interface Healthy {
  /** Findings that started, as the agents' records have them. */
  readonly found: readonly object[];
  /** How often each kind of event happened. */
  readonly happened: Readonly<Record<string, number>>;
}

/** @param exchanges of every agent, which it lasts at least */
export async function playHealthy(seed: number, intervalMs: number, exchanges: number): Promise<Healthy> {
  const observed = await ObservedLab.start(describe(CLUSTER), { intervalMs });
  try {
    const traffic = new HealthyTraffic(observed, seed);
    await traffic.start();
    await observed.watch();
    await observed.exchanges(3);
    const until = Date.now() + exchanges * intervalMs;
    while (Date.now() < until) {
      await traffic.step();
      forgetPoints(observed);
    }
    await observed.exchanges(2);
    const found = observed.receiver.logs.map(({ eventName, resource, attributes }) => ({
      eventName,
      resource,
      attributes,
    }));
    return { found, happened: traffic.happened };
  } finally {
    await observed.close();
  }
}

export class HealthyTraffic {
  readonly #observed: ObservedLab;
  readonly #random: Random;
  readonly #servers = new Map<string, Workload>();
  /** By client and server. */
  readonly #pools = new Map<string, Workload>();
  readonly happened: Record<string, number> = {};

  constructor(observed: ObservedLab, seed: number) {
    this.#observed = observed;
    this.#random = new Random(seed);
  }

  async start(): Promise<void> {
    await Promise.all(PODS.map((pod) => this.#serve(pod)));
    await Promise.all(PODS.flatMap((pod) => peersOf(pod).map((peer) => this.#pool(pod, peer))));
  }

  /** One random event to its end. */
  async step(): Promise<void> {
    const [name, event] = this.#random.pick([
      ["burst of connections", () => this.#burst()],
      ["bulk", () => this.#bulk()],
      ["restart", () => this.#restart(this.#random.pick(PODS))],
      ["pod deleted and made again", () => this.#recreate([this.#random.pick(PODS)])],
      ["workload at zero and back", () => this.#recreate(this.#some())],
    ] as const);
    await event();
    this.happened[name] = (this.happened[name] ?? 0) + 1;
  }

  async #serve(pod: string): Promise<void> {
    this.#servers.set(pod, await this.#observed.lab.pod(pod).serve({ listen: [{ port: SERVED }], workers: 1 }));
  }

  async #pool(client: string, server: string): Promise<void> {
    const pool = this.#observed.lab.pod(client).start("hold", { to: [this.#at(server)], count: 2, ...POOL });
    this.#pools.set(`${client} ${server}`, pool);
    await pool.ready();
  }

  #at(server: string): { address: string; port: number } {
    return { address: this.#observed.lab.pod(server).ips.v4, port: SERVED };
  }

  async #burst(): Promise<void> {
    const client = this.#random.pick(PODS);
    const to = peersOf(client).map((peer) => this.#at(peer));
    const count = this.#random.between(50, 500);
    const download = this.#random.between(100, 60_000);
    await this.#observed.lab.pod(client).play("send", { to, count, parallel: 50, upload: 503, download });
  }

  async #bulk(): Promise<void> {
    const client = this.#random.pick(PODS);
    const to = [this.#at(this.#random.pick(peersOf(client)))];
    const bytes = this.#random.between(1_000_000, 8_000_000);
    await this.#observed.lab.pod(client).play("send", { to, count: 4, parallel: 4, upload: bytes, download: bytes });
  }

  async #restart(pod: string): Promise<void> {
    const pools = await this.#leave(pod);
    await this.#servers.get(pod)?.process.stop();
    await this.#serve(pod);
    await Promise.all(pools.map(([client, server]) => this.#pool(client, server)));
  }

  /** Clients close their connections to these pods, and the pods theirs. */
  async #leave(pod: string): Promise<[string, string][]> {
    const pairs = [...this.#pools.keys()].map((key) => key.split(" ") as [string, string]);
    const own = pairs.filter((pair) => pair.includes(pod));
    await Promise.all(
      own.map(async (pair) => {
        await this.#pools.get(pair.join(" "))?.close();
        this.#pools.delete(pair.join(" "));
      }),
    );
    return own;
  }

  async #recreate(pods: readonly string[]): Promise<void> {
    const { api, lab } = this.#observed;
    const pools: [string, string][] = [];
    for (const key of pods) {
      pools.push(...(await this.#leave(key)));
      await this.#servers.get(key)?.process.stop();
      const { name, namespace } = this.#observed.describedPod(key);
      api.delete("Pod", name, namespace);
    }
    await this.#observed.exchanges(this.#random.between(1, 3));
    for (const key of pods) api.put(labPodObject(this.#observed.describedPod(key), lab.description.runtime));
    await Promise.all(pods.map((key) => this.#serve(key)));
    await Promise.all(pools.map(([client, server]) => this.#pool(client, server)));
  }

  #some(): string[] {
    const first = this.#random.between(0, PODS.length - 3);
    return PODS.slice(first, first + 3);
  }
}
