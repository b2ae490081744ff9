/**
 * Random histories of a cluster, played to agents of both ways, and what the judge finds wrong with their names.
 *
 * A history is a list of steps, each with the time that passes before it: fast-check makes it and, where it fails,
 * makes it small. Playing one has no other source of chance.
 */
import fc from "fast-check";
import { START_MS } from "../unit/naming/cluster-builders.ts";
import { Judge, type Outage, type Verdict } from "./judge.ts";
import { type Chunk, Machine, type Way } from "./machine.ts";
import { Timeline } from "./timeline.ts";
import { FRONT_ADDRESS, HAND_ADDRESS, NODE_ADDRESS, POD_ADDRESSES, World } from "./world.ts";

export type Step = { readonly waitMs: number } & (
  | {
      readonly what: "pod";
      readonly workload: string;
      readonly at: number;
      readonly startMs: number;
      readonly lateMs: number;
      readonly shares: boolean;
    }
  | { readonly what: "delete"; readonly which: number; readonly graceMs: number; readonly lateMs: number }
  | { readonly what: "end"; readonly which: number; readonly lateMs: number }
  | { readonly what: "select"; readonly workload: string; readonly lateMs: number }
  | { readonly what: "talk"; readonly to: number; readonly edge: number; readonly bytes: number }
  | { readonly what: "outage"; readonly forMs: number; readonly isGone: boolean }
  | { readonly what: "link"; readonly forMs: number }
  | { readonly what: "collector"; readonly forMs: number }
  | { readonly what: "restart"; readonly forMs: number }
  | { readonly what: "replica" | "node" }
);

export interface History {
  readonly intervalMs: number;
  readonly lag: number;
  readonly steps: readonly Step[];
}

/** Later than this no kubelet tells anything. */
const LATE_MAX_MS = 9_000;
const OUTAGE_MAX_MS = 90_000;
const WORKLOADS = ["cart", "bill", "job"];
const TARGETS = [...POD_ADDRESSES, FRONT_ADDRESS, HAND_ADDRESS, NODE_ADDRESS];

const waitMs = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 3_000 }), weight: 4 },
  fc.integer({ min: 0, max: 40_000 }),
);
const lateMs = fc.oneof(fc.integer({ min: 0, max: 800 }), fc.integer({ min: 0, max: LATE_MAX_MS }));
const workload = fc.constantFrom(...WORKLOADS);
const forMs = fc.integer({ min: 500, max: OUTAGE_MAX_MS });
const which = fc.nat(5);

function step(weight: number, what: Step["what"], more: Record<string, fc.Arbitrary<unknown>> = {}) {
  return {
    weight,
    arbitrary: fc.record({ waitMs, what: fc.constant(what), ...more }) as unknown as fc.Arbitrary<Step>,
  };
}

const anyStep = fc.oneof(
  step(7, "pod", {
    workload,
    at: fc.nat(POD_ADDRESSES.length - 1),
    startMs: fc.integer({ min: 500, max: 3_000 }),
    lateMs,
    shares: fc.integer({ min: 0, max: 9 }).map((n) => n === 9),
  }),
  step(4, "delete", { which, graceMs: fc.integer({ min: 0, max: 8_000 }), lateMs }),
  step(2, "end", { which, lateMs }),
  step(1, "select", { workload, lateMs: fc.integer({ min: 0, max: 500 }) }),
  step(14, "talk", { to: fc.nat(TARGETS.length - 1), edge: fc.nat(2), bytes: fc.integer({ min: 1, max: 999 }) }),
  step(1, "outage", { forMs, isGone: fc.boolean() }),
  step(1, "link", { forMs }),
  step(1, "collector", { forMs }),
  step(1, "restart", { forMs: fc.integer({ min: 0, max: 20_000 }) }),
  step(1, "replica"),
  step(1, "node"),
);

export const anyHistory: fc.Arbitrary<History> = fc.record({
  intervalMs: fc.constantFrom(15_000, 5_000, 1_000),
  lag: fc.nat(1_000),
  steps: fc.array(anyStep, { minLength: 2, maxLength: 50, size: "max" }),
});

/** After the last step: all is there again, and all that waits is waited for. */
const SETTLE_MS = 120_000;

/** @returns what was wrong, and how many bytes' names were judged */
export function play({ intervalMs, lag, steps }: History, ways: readonly Way[] = ["watch", "directory"]) {
  const timeline = new Timeline(START_MS);
  const machines: Machine[] = [];
  const world = new World(timeline, () => {
    for (const machine of machines) machine.written();
  });
  const judge = new Judge(world);
  const wrong: Verdict[] = [];
  const counts = { named: 0, unknown: 0 };
  const onChunk = (chunk: Chunk) => {
    counts[chunk.told.kind === "unknown" ? "unknown" : "named"] += chunk.grown.length;
    for (const grown of chunk.grown) {
      const why = judge.judge(grown, chunk);
      if (why !== undefined) wrong.push({ grown, chunk, why });
    }
  };
  // Anything, as long as it is the same for the same history.
  const lagMs = (index: number) => (index * 7_919 + lag * 104_729) % 100_003;
  for (const way of ways) machines.push(new Machine(way, world, timeline, lagMs, onChunk));
  const player = new Player(timeline, world, judge, machines, intervalMs);
  for (const each of steps) player.take(each);
  player.settle();
  for (const machine of machines) {
    if (machine.unsettled.length > 0) throw new Error(`${machine.way}: growth is not named at the end`);
  }
  return { wrong, counts };
}

class Player {
  readonly #timeline: Timeline;
  readonly #world: World;
  readonly #judge: Judge;
  readonly #machines: readonly Machine[];
  readonly #intervalMs: number;

  constructor(timeline: Timeline, world: World, judge: Judge, machines: readonly Machine[], intervalMs: number) {
    this.#timeline = timeline;
    this.#world = world;
    this.#judge = judge;
    this.#machines = machines;
    this.#intervalMs = intervalMs;
    timeline.after(intervalMs + 0.5, () => this.#exchange());
  }

  take(step: Step): void {
    // Nothing of it happens at the very moment of another step or of an exchange.
    this.#timeline.runUntil(Math.floor(this.#timeline.nowMs) + step.waitMs + 1);
    const { nowMs } = this.#timeline;
    switch (step.what) {
      case "pod":
        this.#world.startPod(step.workload, POD_ADDRESSES[step.at] as string, step.startMs, step.lateMs, step.shares);
        break;
      case "delete":
        this.#world.deletePod(step.which, step.graceMs, step.lateMs);
        break;
      case "end":
        this.#world.endPod(step.which, step.lateMs);
        break;
      case "select":
        this.#world.select(step.workload, step.lateMs);
        break;
      case "node":
        this.#world.makeNode();
        break;
      case "talk":
        this.#talk(TARGETS[step.to] as string, step.edge, step.bytes);
        break;
      case "outage": {
        if (this.#machines.some(({ isApiThere }) => !isApiThere)) break;
        const outage: Outage = { fromMs: nowMs, toMs: nowMs + step.forMs };
        this.#judge.outages.push(outage);
        for (const machine of this.#machines) machine.disconnectApi();
        this.#timeline.after(step.forMs, () => {
          for (const machine of this.#machines) machine.reconnectApi(step.isGone);
        });
        break;
      }
      case "link":
        for (const machine of this.#machines) machine.loseLink(step.forMs);
        break;
      case "replica":
        for (const machine of this.#machines) machine.replaceReplica();
        break;
      case "collector":
        for (const machine of this.#machines) machine.collectorAnswers = false;
        this.#timeline.after(step.forMs, () => {
          for (const machine of this.#machines) machine.collectorAnswers = true;
        });
        break;
      case "restart":
        for (const machine of this.#machines) machine.kill();
        this.#timeline.after(step.forMs, () => {
          for (const machine of this.#machines) machine.start();
        });
    }
  }

  settle(): void {
    this.#timeline.runUntil(this.#timeline.nowMs + OUTAGE_MAX_MS + SETTLE_MS);
  }

  #talk(address: string, edge: number, bytes: number): void {
    const isService = address === FRONT_ADDRESS || address === HAND_ADDRESS;
    const tenants = isService ? this.#world.backends(address) : this.#world.tenantsAt(address);
    const tenant = tenants[bytes % Math.max(1, tenants.length)];
    if (!tenant) return;
    const grown = { atMs: this.#timeline.nowMs, bytes, address, tenant };
    for (const machine of this.#machines) machine.grow(`client 10.2.0.${edge + 1}>${address}:80`, grown);
  }

  #exchange(): void {
    for (const machine of this.#machines) machine.exchange();
    this.#timeline.after(this.#intervalMs, () => this.#exchange());
  }
}
