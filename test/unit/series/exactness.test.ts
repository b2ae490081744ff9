/**
 * Whatever happens between kernel and Collector, what a reader adds up is what the kernel counted.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Temporality } from "../../../agent/model/flow.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { backwardPoints, type Point, seriesTotals, total } from "../../otlp/oracle.ts";
import { FakeIdentity, FakeKernel, keyOf, pointsOf } from "./kernel.ts";
import { Stepping } from "./stepping.ts";

const EDGES = [
  "client a>x:80",
  "client a>y:80",
  "client a>z:443",
  "client b>x:80",
  "server b>y:80",
  "server b>z:80",
  "listener b>:80",
  "overflow *>*:0",
];
const REMOTES = ["x", "y", "z"];

/** Of one request, seen from the agent: `unheard` reached the Collector, but its answer was lost. */
type Outcome = "accepted" | "failed" | "unheard";

type Step =
  | { readonly do: "grow"; readonly edge: number; readonly bytes: number; readonly slot: number }
  | { readonly do: "open"; readonly edge: number; readonly open: number }
  | { readonly do: "exchange"; readonly outcomes: readonly Outcome[] }
  /** The agent dies when the Collector has answered; `settled` of the accepted flows were settled by then. */
  | { readonly do: "crash"; readonly outcomes: readonly Outcome[]; readonly settled: readonly boolean[] }
  | { readonly do: "rename"; readonly remote: number; readonly workload: string }
  | { readonly do: "hold"; readonly remote: number }
  | { readonly do: "release"; readonly remote: number }
  | { readonly do: "pause"; readonly intervals: number };

const outcomes = fc.array(fc.constantFrom<Outcome>("accepted", "failed", "unheard"), { minLength: 1, maxLength: 5 });
const edge = fc.nat(EDGES.length - 1);
const remote = fc.nat(REMOTES.length - 1);

const grow = fc.record({
  do: fc.constant("grow" as const),
  edge,
  bytes: fc.integer({ min: 1, max: 23 }),
  slot: fc.nat(383),
});
const open = fc.record({ do: fc.constant("open" as const), edge, open: fc.nat(3) });
const exchange = fc.record({ do: fc.constant("exchange" as const), outcomes });
const crash = fc.record({
  do: fc.constant("crash" as const),
  outcomes,
  settled: fc.array(fc.boolean(), { minLength: 1 }),
});
const rename = fc.record({
  do: fc.constant("rename" as const),
  remote,
  workload: fc.constantFrom("cart", "shop", "pay"),
});
const hold = fc.record({ do: fc.constantFrom("hold" as const, "release" as const), remote });
const pause = fc.record({ do: fc.constant("pause" as const), intervals: fc.integer({ min: 1, max: 5 }) });

class World {
  readonly kernel = new FakeKernel();
  readonly identity = new FakeIdentity();
  readonly points: Point[] = [];
  readonly #temporality: Temporality;
  readonly #flowLimit: number;
  #steps: Stepping;

  constructor(temporality: Temporality, flowLimit: number) {
    this.#temporality = temporality;
    this.#flowLimit = flowLimit;
    this.#steps = this.#newSteps();
  }

  run(step: Step): void {
    if (step.do === "grow") this.#grow(EDGES[step.edge] as string, step.bytes, step.slot);
    else if (step.do === "open") this.kernel.open(EDGES[step.edge] as string, step.open);
    else if (step.do === "exchange") this.exchange(step.outcomes, [true]);
    else if (step.do === "crash") this.#crash(step.outcomes, step.settled);
    else if (step.do === "rename") this.identity.rename(REMOTES[step.remote] as string, step.workload);
    else if (step.do === "hold") this.identity.hold(REMOTES[step.remote] as string);
    else if (step.do === "release") this.identity.release(REMOTES[step.remote] as string);
    else for (let i = 0; i < step.intervals; i++) this.exchange(["accepted"], [true]);
  }

  exchange(results: readonly Outcome[], settled: readonly boolean[]): void {
    const batch = this.#steps.take(this.kernel.exchange());
    for (const [i, flow] of batch.flows.entries()) {
      const outcome = results[i % results.length] as Outcome;
      if (outcome !== "failed") this.points.push(...pointsOf([flow], this.#temporality));
      if (outcome !== "accepted") continue;
      const rows = batch.accept([flow]);
      if (settled[i % settled.length]) this.kernel.settle(rows);
    }
  }

  /** The agent dies when the Collector has accepted everything and so many rows were settled. */
  dieAfter(rows: number): void {
    const batch = this.#steps.take(this.kernel.exchange());
    this.points.push(...pointsOf(batch.flows, this.#temporality));
    this.kernel.settle(batch.accept(batch.flows).slice(0, rows));
    this.#steps = this.#newSteps();
  }

  /** Everything is named and accepted. */
  heal(): void {
    for (const address of REMOTES) this.identity.release(address);
    // What was in doubt is confirmed under its old name first, what waited goes out after it.
    for (let i = 0; i < 2; i++) this.exchange(["accepted"], [true]);
  }

  #grow(id: string, bytes: number, slot: number): void {
    this.kernel.grow(id, { bytesSent: bytes, opened: 1, rttUs: bytes }, { [slot]: 1 });
  }

  #crash(results: readonly Outcome[], settled: readonly boolean[]): void {
    this.exchange(results, settled);
    this.#steps = this.#newSteps();
  }

  #newSteps(): Stepping {
    const options = { ...DEFAULT_AGGREGATE_OPTIONS, temporality: this.#temporality, idleMs: 60_000 };
    return new Stepping({ ...options, flowLimit: this.#flowLimit }, this.identity, keyOf);
  }
}

function expectExact({ kernel, points }: World): void {
  const totals = seriesTotals(points);
  const read = Object.fromEntries(EDGE_COUNTERS.map((name) => [name, total(totals, name)]));
  const counted = Object.fromEntries(EDGE_COUNTERS.map((name, index) => [name, kernel.truth[index] as number]));
  const values = totals.reduce((sum, { count }) => sum + count, 0);
  expect({ read, values, unsettled: kernel.unsettled(), backward: backwardPoints(points) }).toEqual({
    read: counted,
    values: kernel.truthSlots,
    unsettled: {},
    backward: [],
  });
}

for (const temporality of ["cumulative", "delta"] as const) {
  test(`${temporality}: totals equal the kernel's for any outcomes, names, waits and budget`, () => {
    const steps = fc.array(fc.oneof(grow, grow, open, exchange, exchange, rename, hold, pause), {
      maxLength: 60,
      size: "max",
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 8 }), (sequence, flowLimit) => {
        const world = new World(temporality, flowLimit);

        for (const step of sequence) world.run(step);
        world.heal();

        expectExact(world);
      }),
      { numRuns: 100 },
    );
  });

  test(`${temporality}: totals equal the kernel's when the agent dies between acceptance and settlement`, () => {
    const steps = fc.array(fc.oneof(grow, grow, open, exchange, exchange, crash, pause), {
      maxLength: 60,
      size: "max",
    });
    fc.assert(
      fc.property(steps, (sequence) => {
        const world = new World(temporality, 100);
        world.identity.rename("x", "cart");
        world.identity.rename("y", "cart");

        for (const step of sequence) world.run(step);
        world.heal();

        expectExact(world);
      }),
      { numRuns: 100 },
    );
  });
}

for (const temporality of ["cumulative", "delta"] as const)
  test(`${temporality}: an agent that dies amid the rows of one series leaves it short of what was settled, and no more`, () => {
    const world = new World(temporality, 100);
    const { kernel, identity } = world;
    for (const remote of ["x", "y"]) identity.rename(remote, "cart");
    const grow = (x: number, y: number) => {
      kernel.grow("client a>x:80", { bytesSent: x });
      kernel.grow("client a>y:80", { bytesSent: y });
    };

    grow(3, 5);
    world.exchange(["accepted"], [true]);
    grow(7, 11);
    world.dieAfter(1);
    grow(13, 17);
    world.heal();

    expect(total(seriesTotals(world.points), "bytesSent")).toBe(3 + 5 + 11 + 13 + 17);
  });
