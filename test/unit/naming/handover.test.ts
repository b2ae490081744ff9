/**
 * An address passes from one pod to another while an edge to it grows: the growth is split between them, or
 * said to be of nobody known, and never renamed. Identity and aggregation together, with a kernel that keeps
 * growth until it is settled.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AT } from "../../../agent/edges/counters.ts";
import { HANDOVER_MS } from "../../../agent/naming/claims.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { type Point, seriesTotals } from "../../otlp/oracle.ts";
import { FakeKernel, INTERVAL_NS, keyOf, pointsOf } from "../series/kernel.ts";
import { Stepping } from "../series/stepping.ts";
import { BOOT_UNIX_MS, clusterIdentity, node, pod, put } from "./cluster-builders.ts";

const ADDRESS = "10.1.0.7";
const EDGE = `client 10.2.0.1>${ADDRESS}:80`;
const SECOND = 1_000;
const INTERVAL = Number(INTERVAL_NS / 1_000_000n);

/** A cluster, a kernel and an aggregation, with a Collector that answers or does not. */
class World {
  readonly #identity = clusterIdentity();
  readonly #kernel = new FakeKernel();
  readonly #steps = new Stepping({ ...DEFAULT_AGGREGATE_OPTIONS, peerPod: true }, this.#identity, keyOf);
  /** What the Collector has accepted. */
  readonly #points: Point[] = [];
  collectorAnswers = true;

  /** Bytes by peer pod, else by what the peer was found to be. */
  get told(): Record<string, number> {
    const told: Record<string, number> = {};
    for (const { attributes, value } of seriesTotals(this.#points)) {
      const { "flowspan.peer.k8s.pod.name": podName, "flowspan.peer.kind": kind } = attributes;
      const peer = String(podName ?? kind);
      told[peer] = (told[peer] ?? 0) + value;
    }
    return told;
  }

  get nowMs(): number {
    return Number(this.#kernel.nowNs) / 1e6;
  }

  get #createdMs(): number {
    return BOOT_UNIX_MS + this.nowMs;
  }

  /** Milliseconds pass without an exchange; the next one comes an interval after. */
  wait(ms: number): void {
    this.#kernel.nowNs += BigInt(ms) * 1_000_000n;
  }

  grow(bytesSent: number): void {
    this.#kernel.grow(EDGE, { bytesSent });
  }

  /** The API tells that a pod was placed on its node, which gives it the address a second later. */
  place(name: string): void {
    put(this.#identity, { pods: [pod(name, { createdMs: this.#createdMs })] }, this.nowMs);
  }

  start(name: string): void {
    put(this.#identity, { pods: [pod(name, { createdMs: this.#createdMs, addresses: [ADDRESS] })] }, this.nowMs);
  }

  /** The API tells that a pod was told to end. */
  tellToEnd(name: string): void {
    put(this.#identity, { pods: [pod(name, { addresses: [ADDRESS], terminating: true })] }, this.nowMs);
  }

  /** @returns how many connections are said to be open in the next exchange */
  exchangeWithOpen(open: number): number {
    this.#kernel.open(EDGE, open);
    const { flows, accept } = this.#steps.take(this.#kernel.exchange());
    const said = flows.reduce((sum, flow) => sum + flow.open, 0);
    this.#kernel.settle(accept(flows));
    return said;
  }

  /** With its last status, which tells of the address where nothing did before. */
  end(name: string): void {
    put(this.#identity, { pods: [pod(name, { addresses: [ADDRESS], ended: true })] }, this.nowMs);
    this.#identity.apply({ feed: "pods", type: "remove", atMs: this.nowMs, uid: `uid-${name}` });
  }

  /** @returns how many edges' names were awaited */
  exchange(): number {
    const batch = this.#steps.take(this.#kernel.exchange());
    if (!this.collectorAnswers) return batch.pendingRows;
    this.#points.push(...pointsOf(batch.flows, "cumulative").filter(({ metric }) => metric === "bytesSent"));
    this.#kernel.settle(batch.accept(batch.flows));
    return batch.pendingRows;
  }
}

/** A world in which cart-a has the address and has sent 101 bytes. */
function cartHasIt(): World {
  const world = new World();
  world.start("cart-a");
  world.grow(101);
  world.exchange();
  return world;
}

describe("an address that passes from cart-a to bill-b", () => {
  test("between two exchanges, each with its own growth, gives each its own", () => {
    const world = cartHasIt();
    world.grow(23);
    world.end("cart-a");
    const awaited = [world.exchange()];
    world.place("bill-b");
    world.wait(SECOND);
    world.grow(29);
    world.start("bill-b");
    awaited.push(world.exchange(), world.exchange());

    expect({ told: world.told, awaited }).toEqual({ told: { "cart-a": 124, "bill-b": 29 }, awaited: [1, 0, 0] });
  });

  test("with growth of the next pod before the API tells of its address, gives each its own", () => {
    const world = cartHasIt();
    world.grow(23);
    world.end("cart-a");
    world.exchange();
    world.place("bill-b");
    world.grow(29);
    world.exchange();
    world.wait(SECOND);
    world.start("bill-b");
    world.exchange();
    world.exchange();

    expect(world.told).toEqual({ "cart-a": 124, "bill-b": 29 });
  });

  test("within one interval, with growth that may be of either, names neither of them", () => {
    const world = cartHasIt();
    world.grow(23);
    world.end("cart-a");
    world.place("bill-b");
    world.wait(SECOND);
    world.start("bill-b");
    world.grow(29);
    world.exchange();
    world.grow(31);
    world.exchange();

    expect(world.told).toEqual({ "cart-a": 101, unknown: 52, "bill-b": 31 });
  });

  test("while the Collector is away, gives each its own when it is back", () => {
    const world = cartHasIt();
    world.collectorAnswers = false;
    world.grow(23);
    world.exchange();
    world.end("cart-a");
    world.place("bill-b");
    world.wait(SECOND);
    world.start("bill-b");
    world.exchange();
    world.grow(29);
    world.exchange();
    world.collectorAnswers = true;
    world.exchange();
    world.exchange();

    expect(world.told).toEqual({ "cart-a": 124, "bill-b": 29 });
  });

  test("whose next pod is of the same workload goes on under the workload's name", () => {
    const world = cartHasIt();
    world.grow(23);
    world.end("cart-a");
    world.place("cart-b");
    world.wait(SECOND);
    world.start("cart-b");
    world.grow(29);
    world.exchange();
    world.grow(31);
    world.exchange();

    // Of either pod, and so without a pod's name; both are `cart`.
    expect(world.told).toEqual({ "cart-a": 101, pod: 52, "cart-b": 31 });
  });
});

test("a name that holds for the growth of one exchange alone is asked for again by every edge, not by the first", () => {
  const edges = ["10.2.0.1", "10.2.0.2", "10.2.0.3"].map((local) => `client ${local}>${ADDRESS}:80`);
  const identity = clusterIdentity();
  const kernel = new FakeKernel();
  const steps = new Stepping({ ...DEFAULT_AGGREGATE_OPTIONS, peerPod: true }, identity, keyOf);
  const told: Record<string, number>[] = edges.map(() => ({}));
  const nowMs = () => Number(kernel.nowNs) / 1e6;
  const exchange = () => {
    for (const each of edges) kernel.grow(each, { bytesSent: 23 });
    const { flows, accept } = steps.take(kernel.exchange());
    for (const flow of flows) {
      const { "flowspan.peer.k8s.pod.name": podName, "flowspan.peer.kind": kind } = flow.attributes;
      const peer = String(podName ?? kind);
      const rows = accept([flow]);
      for (const row of rows) {
        const of = told[edges.indexOf(row.id.trimEnd())] as Record<string, number>;
        of[peer] = (of[peer] ?? 0) + row.counter(AT.bytesSent);
      }
      kernel.settle(rows);
    }
  };
  put(identity, { pods: [pod("cart-a", { addresses: [ADDRESS] })] }, nowMs());
  exchange();
  identity.apply({ feed: "pods", type: "remove", atMs: nowMs() + 1, uid: "uid-cart-a" });
  put(identity, { pods: [pod("bill-b", { addresses: [ADDRESS], createdMs: BOOT_UNIX_MS + nowMs() })] }, nowMs() + 2);
  for (let i = 0; i < 3; i++) exchange();

  expect(told).toEqual(edges.map(() => ({ "cart-a": 23, unknown: 23, "bill-b": 46 })));
});

test("the last growth of a pod that nobody follows is told as its own, ten seconds after its interval", () => {
  const world = cartHasIt();
  world.grow(23);
  world.end("cart-a");

  const awaited = [world.exchange(), world.exchange()];

  expect({ told: world.told, awaited }).toEqual({ told: { "cart-a": 124 }, awaited: [1, 0] });
});

test("connections that are open to a pod which was told to end are still said to be open", () => {
  const world = cartHasIt();
  world.tellToEnd("cart-a");

  expect([world.exchangeWithOpen(5), world.exchangeWithOpen(3)]).toEqual([5, 3]);
});

test("growth after a pod's end is never given to it", () => {
  const world = cartHasIt();
  world.end("cart-a");
  world.exchange();
  for (let i = 0; i < 4; i++) {
    world.grow(7);
    world.wait(INTERVAL);
    world.exchange();
  }

  expect(world.told["cart-a"]).toBe(101);
  expect(world.told.unknown).toBe(28);
});

test("whatever happens in whatever order, no pod is told more than its own, and nothing is told twice or not at all", () => {
  const step = fc.record({
    what: fc.constantFrom("grow", "grow", "grow", "exchange", "exchange", "replace", "collector"),
    ms: fc.integer({ min: 1, max: 40_000 }),
    bytes: fc.integer({ min: 1, max: 1_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World();
      const truth: Record<string, number> = {};
      let pods = 1;
      // Each of a workload of its own.
      const current = () => `workload${pods}-a`;
      world.place(current());
      for (const { what, ms, bytes } of steps) {
        world.wait(ms);
        if (what === "exchange") world.exchange();
        else if (what === "collector") world.collectorAnswers = !world.collectorAnswers;
        else if (what === "grow") {
          world.grow(bytes);
          truth[current()] = (truth[current()] ?? 0) + bytes;
          // The kubelet tells of an address after its first traffic, but not later than it is waited for.
          world.wait(ms % HANDOVER_MS);
          world.start(current());
        } else {
          world.end(current());
          pods++;
          world.wait(1);
          world.place(current());
        }
      }
      world.start(current());
      world.collectorAnswers = true;
      for (let i = 0; i < 8; i++) world.exchange();

      const { unknown: ofNobody = 0, ...told } = world.told;
      const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
      expect(sum(told) + ofNobody).toBe(sum(truth));
      expect(Object.entries(told).filter(([name, bytes]) => bytes > (truth[name] ?? 0))).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test("a node's zone that the API tells of late is a new attribute for later growth only", () => {
  const identity = clusterIdentity();
  put(identity, { pods: [pod("cart-a", { addresses: [ADDRESS], node: "node-2" })] });
  const kernel = new FakeKernel();
  const steps = new Stepping(DEFAULT_AGGREGATE_OPTIONS, identity, keyOf);
  const told: Record<string, number> = {};
  const exchange = () => {
    const { flows, accept } = steps.take(kernel.exchange());
    for (const { attributes, counters } of flows) {
      told[String(attributes["flowspan.peer.zone"])] = counters[AT.bytesSent] as number;
    }
    kernel.settle(accept(flows));
  };

  kernel.grow(EDGE, { bytesSent: 23 });
  exchange();
  put(identity, { nodes: [node("node-2", { zone: "south-1" })] });
  kernel.grow(EDGE, { bytesSent: 29 });
  exchange();

  expect(told).toEqual({ undefined: 23, "south-1": 29 });
});
