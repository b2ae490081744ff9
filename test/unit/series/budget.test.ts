import { expect, test } from "vitest";
import { AT } from "../../../agent/edges/counters.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { FakeIdentity, FakeKernel, keyOf } from "./kernel.ts";
import { Stepping } from "./stepping.ts";

/** Edges of one pod to peers of these names. */
const edge = (peer: string) => `client a>${peer}:80`;

function start(flowLimit: number) {
  const kernel = new FakeKernel();
  const steps = new Stepping({ ...DEFAULT_AGGREGATE_OPTIONS, flowLimit }, new FakeIdentity(), keyOf);
  return {
    steps,
    /** Grows edges by these bytes; everything is accepted unless told otherwise. */
    exchange(bytes: Readonly<Record<string, number>>, accepted = true): Record<string, number> {
      for (const [peer, bytesSent] of Object.entries(bytes)) kernel.grow(edge(peer), { bytesSent });
      const batch = steps.take(kernel.exchange());
      const sums = batch.flows.map(({ attributes, counters }) => {
        return [String(attributes["service.peer.name"] ?? "overflow"), counters[AT.bytesSent] as number];
      });
      if (accepted) kernel.settle(batch.accept(batch.flows));
      return Object.fromEntries(sums);
    },
  };
}

test("what finds no room goes to the overflow series of its pod and role", () => {
  const { exchange, steps } = start(2);

  expect(exchange({ x: 100, y: 100, z: 23, w: 29 })).toEqual({ x: 100, y: 100, overflow: 52 });
  expect(steps.stats()).toEqual({
    edges: 4,
    flows: 2,
    overflowSeries: 1,
    flowLimit: 2,
    pendingRows: 0,
    overBudget: 2,
  });
});

test("a flow that weighs twice the lightest takes its place: the old series ends, totals go on", () => {
  const { exchange } = start(1);
  exchange({ x: 100, y: 1_000 });

  const swapped = exchange({ x: 10, y: 10 });
  const later = exchange({ x: 10, y: 10 });

  expect(swapped).toEqual({ x: 100, y: 10, overflow: 1_010 });
  expect(later).toEqual({ y: 20, overflow: 1_020 });
});

test("a flow that weighs little more than the lightest does not take its place", () => {
  const { exchange } = start(1);
  exchange({ x: 100, y: 150 });

  expect(exchange({ x: 10, y: 10 })).toEqual({ x: 110, overflow: 160 });
});

test("a flow of which growth is in doubt keeps its place", () => {
  const { exchange } = start(1);
  exchange({ x: 100, y: 1_000 }, false);

  expect(exchange({ y: 10 })).toEqual({ x: 100, overflow: 1_010 });
});

test("connections weigh, also those that fail", () => {
  const kernel = new FakeKernel();
  const steps = new Stepping({ ...DEFAULT_AGGREGATE_OPTIONS, flowLimit: 1 }, new FakeIdentity(), keyOf);
  kernel.grow(edge("x"), { bytesSent: 1000 });
  kernel.grow(edge("y"), { failedRefused: 2 });
  const first = steps.take(kernel.exchange());
  kernel.settle(first.accept(first.flows));

  kernel.grow(edge("y"), { failedRefused: 1 });
  const { flows } = steps.take(kernel.exchange());

  expect(flows.map(({ attributes }) => attributes["service.peer.name"] ?? "overflow")).toEqual(["y", "overflow", "x"]);
});
