/**
 * The outside of the aggregation, in memory: a kernel that keeps growth until it is settled, an identity
 * that says what a test wants, and a Collector that keeps every point that reaches it.
 */

import { COUNTERS } from "../../../agent/edges/counters.ts";
import { EDGE_COUNTERS, type EdgeCountersField, edgeKey } from "../../../agent/generated/layout.ts";
import type { EdgeGrowth, EdgeKey } from "../../../agent/model/edge.ts";
import type { Flow, Temporality } from "../../../agent/model/flow.ts";
import type { Identified, Identity, RemoteEnd } from "../../../agent/model/names.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import type { SettledRow } from "../../../agent/source/source.ts";
import { TCP_EDGE } from "../../../agent/source/tcp-edge.ts";
import type { Point } from "../../otlp/oracle.ts";

export const SECOND_NS = 1_000_000_000n;
export const INTERVAL_NS = 15n * SECOND_NS;
/** Unix time at boot. */
export const BOOT_UNIX_NS = 1_700_000_000n * SECOND_NS;

export type Counts = Partial<Record<EdgeCountersField, number>>;

interface KernelEdge {
  readonly growth: Float64Array;
  readonly slots: Map<number, number>;
  settled: bigint;
  sinceNs: bigint;
  activeNs: bigint;
  open: number;
  limit: number;
  reported: number;
}

/** Grows edges, says their growth in each exchange and subtracts what is settled, as the probe does. */
export class FakeKernel {
  readonly #edges = new Map<string, KernelEdge>();
  /** Everything that ever grew. */
  readonly truth = new Float64Array(COUNTERS);
  truthSlots = 0;
  nowNs = 1_000n * SECOND_NS;
  /** How far the wall clock was set. */
  wallOffsetNs = BOOT_UNIX_NS;
  #exchange = 0n;
  /** Time of the last exchange, at first that of the maps. */
  #exchangeNs = this.nowNs;

  grow(id: string, counts: Counts, slots: Readonly<Record<number, number>> = {}): void {
    const edge = this.#edge(id);
    // Nothing happens at the very moment of a walk.
    this.nowNs += 1n;
    // The first growth since it was settled: later than the last exchange. Were sinceNs older than that, a new
    // agent's series would cut off what other edges of the same flow have had accepted meanwhile.
    if (edge.activeNs <= edge.sinceNs) edge.sinceNs = this.#exchangeNs;
    edge.activeNs = this.nowNs;
    for (const [index, name] of EDGE_COUNTERS.entries()) {
      const count = counts[name] ?? 0;
      edge.growth[index] = (edge.growth[index] as number) + count;
      this.truth[index] = (this.truth[index] as number) + count;
    }
    for (const [slot, count] of Object.entries(slots)) {
      edge.slots.set(Number(slot), (edge.slots.get(Number(slot)) ?? 0) + count);
      this.truthSlots += count;
    }
  }

  open(id: string, open: number, limit = 0): void {
    Object.assign(this.#edge(id), { open, limit });
  }

  /** Walks, an interval after the last time. */
  exchange(namespaces: readonly NamespaceCounters[] = []) {
    this.nowNs += INTERVAL_NS;
    this.#exchange++;
    this.#exchangeNs = this.nowNs;
    for (const edge of this.#edges.values()) if (edge.open > 0 || edge.limit > 0) edge.reported = 1;
    const rows = [...this.#edges].flatMap(([id, edge]) => this.#rowOf(id, edge));
    return { rows, namespaces, end: { bootNs: this.nowNs, realtimeNs: this.nowNs + this.wallOffsetNs } };
  }

  settle(rows: readonly SettledRow[]): void {
    for (const settled of rows) {
      const row = TCP_EDGE.row(settled.row, new RowPages(0));
      const edge = this.#edge(row.id.trimEnd());
      if (row.exchange <= edge.settled) continue;
      for (let i = 0; i < COUNTERS; i++) edge.growth[i] = (edge.growth[i] as number) - row.counter(i);
      for (let i = 0; i < row.slotCount; i++) {
        edge.slots.set(row.slot(i), (edge.slots.get(row.slot(i)) as number) - row.count(i));
      }
      edge.settled = row.exchange;
      edge.sinceNs = this.#exchangeNs;
      if (row.open === 0 && row.limit === 0) edge.reported = 0;
    }
  }

  /** What was not settled yet, by name. */
  unsettled(): Counts {
    const counts: Counts = {};
    for (const { growth } of this.#edges.values()) {
      for (const [index, name] of EDGE_COUNTERS.entries()) {
        if (growth[index] !== 0) counts[name] = (counts[name] ?? 0) + (growth[index] as number);
      }
    }
    return counts;
  }

  /** The pins are removed: all growth that was not settled is gone. */
  reset(): void {
    this.#edges.clear();
  }

  #edge(id: string): KernelEdge {
    let edge = this.#edges.get(id);
    if (edge === undefined) {
      const times = { settled: this.#exchange, sinceNs: this.#exchangeNs, activeNs: this.#exchangeNs };
      const gauges = { open: 0, limit: 0, reported: 0 };
      edge = { growth: new Float64Array(COUNTERS), slots: new Map(), ...times, ...gauges };
      this.#edges.set(id, edge);
    }
    return edge;
  }

  #rowOf(id: string, { growth, slots, sinceNs, open, limit, reported }: KernelEdge): EdgeGrowth[] {
    const pairs = [...slots].filter(([, count]) => count > 0).sort(([a], [b]) => a - b);
    const grown = pairs.length > 0 || growth.some((count) => count > 0);
    if (!grown && open === 0 && limit === 0 && reported === 0) return [];
    const numbers = { counters: growth, slots: Uint32Array.from(pairs.flat()), open, limit };
    const row = TCP_EDGE.encode({ id: id.padEnd(edgeKey.size), exchange: this.#exchange, sinceNs, ...numbers });
    return [TCP_EDGE.row(row, new RowPages(0))];
  }
}

/** `client 10.0.0.1>10.0.0.2:80`, a key that its id spells; filled up with spaces. */
export function keyOf(id: string): EdgeKey {
  const [role, ends = ""] = id.trimEnd().split(" ") as [EdgeKey["role"] | "overflow", string?];
  const [local = "", remote = ""] = ends.split(">");
  const [address = "", port = "80"] = remote.split(":");
  return {
    cgroup: BigInt(local.length),
    localAddress: local,
    remoteAddress: address,
    netns: 4026531840,
    serverPort: Number(port),
    role: role === "overflow" ? "client" : role,
    overflow: role === "overflow",
  };
}

/** Names local ends by their address and remote ends by `workloads`, else by their address too. */
export class FakeIdentity implements Identity {
  version = 1;
  readonly #workloads = new Map<string, string>();
  readonly #peers = new Map<string, Partial<RemoteEnd>>();
  readonly #pending = new Set<string>();

  addCgroup(): void {}

  rename(address: string, workload: string): void {
    this.#workloads.set(address, workload);
    this.version++;
  }

  /** Its node is known from now on. */
  place(address: string, nodeName: string): void {
    this.describe(address, { nodeName, podName: this.#workloads.get(address) ?? address });
  }

  /** What else is known of a peer from now on. */
  describe(address: string, peer: Partial<RemoteEnd>): void {
    this.#peers.set(address, peer);
    this.version++;
  }

  hold(address: string): void {
    this.#pending.add(address);
    this.version++;
  }

  release(address: string): void {
    this.#pending.delete(address);
    this.version++;
  }

  identify({ localAddress, remoteAddress }: EdgeKey): Identified {
    if (this.#pending.has(remoteAddress)) return { state: "pending", why: "the pod is not known yet" };
    const name = this.#workloads.get(remoteAddress) ?? remoteAddress;
    const local = { id: localAddress, resource: { "k8s.pod.name": localAddress }, label: localAddress };
    const unnamed: RemoteEnd = { kind: "pod", name, namespace: "shop", podName: undefined, label: `shop/${name}` };
    const remote = { ...unnamed, ...this.#peers.get(remoteAddress) };
    return { state: "named", local, remote, passing: false };
  }
}

/** All sums and histograms of flows as points, each counter as a metric of its own name. */
export function pointsOf(flows: readonly Flow[], temporality: Temporality): Point[] {
  return flows.flatMap((flow) => {
    const { resource, attributes, startUnixNs, timeUnixNs } = flow;
    const common = { resource: resource.attributes, attributes, startUnixNs, timeUnixNs };
    const sums = EDGE_COUNTERS.map((metric, index): Point => {
      return { ...common, metric, kind: temporality, value: flow.counters[index] as number };
    });
    const histograms = (["handshake", "rtt", "duration"] as const).map((metric): Point => {
      const { buckets: pairs, sumUs } = flow[metric];
      const buckets = new Map<number, number>();
      for (let i = 0; i < pairs.length; i += 2) buckets.set(pairs[i] as number, pairs[i + 1] as number);
      return { ...common, metric: `${metric} histogram`, kind: temporality, value: sumUs, buckets };
    });
    const gauges = (["open", "limit"] as const).map((metric): Point => {
      return { ...common, metric, kind: "moment", value: flow[metric] };
    });
    return [...sums, ...histograms, ...gauges];
  });
}
