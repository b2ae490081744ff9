import fc from "fast-check";
import { expect, test } from "vitest";
import { localize } from "../../../agent/findings/localize.ts";
import type { Observation } from "../../../agent/findings/place-model.ts";
import { type Trouble, troubledCluster } from "./troubled-cluster.ts";

/** Three clients, each on a node of its own, to three servers on three other nodes. */
function mesh(lost: (client: number, server: number) => number, trials = 10_000): Observation[] {
  return [0, 1, 2].flatMap((client) =>
    [0, 1, 2].map((server) => ({
      places: [
        `client:${client}`,
        `node:c${client}`,
        `pair:${client}-${server}`,
        `node:s${server}`,
        `server:${server}`,
      ],
      trials,
      bad: lost(client, server),
    })),
  );
}

test("no place is named where nothing goes wrong, and none for what the healthy rate explains", () => {
  expect(localize([])).toEqual([]);
  expect(localize(mesh(() => 0))).toEqual([]);
  expect(localize(mesh(() => 2))).toEqual([]);
});

test("the pair of nodes is named, and neither end, where one pair loses and the others do not", () => {
  const [suspect, ...others] = localize(mesh((client, server) => (client === 1 && server === 2 ? 100 : 0)));

  expect(others).toEqual([]);
  expect(suspect).toMatchObject({ place: "pair:1-2", trials: 10_000, alternatives: [] });
  expect(suspect?.rate).toBeCloseTo(0.0098, 4);
});

test("a node and its only pod are both named where nothing tells them apart", () => {
  const [suspect, ...others] = localize(mesh((_, server) => (server === 2 ? 100 : 0)));

  expect(others).toEqual([]);
  expect([suspect?.place, ...(suspect?.alternatives ?? [])].toSorted()).toEqual(["node:s2", "server:2"]);
});

test("a node whose links lose thousands, and not quite the same share, is one place", () => {
  const lost = (client: number, server: number) => (server === 2 ? 20_000 + client * 1_000 : 0);

  const suspects = localize(mesh(lost, 1_000_000));

  // Links of thousands that differ by a tenth would be three.
  expect(suspects).toHaveLength(1);
  expect([suspects[0]?.place, ...(suspects[0]?.alternatives ?? [])].toSorted()).toEqual(["node:s2", "server:2"]);
});

test("two pods of a node are named in the place of their node where a third one is well", () => {
  const from = (pod: number, bad: number) =>
    [0, 1, 2].map((peer) => ({
      places: [`pod:${pod}`, "node:a", `pair:a-${peer}`, `node:${peer}`],
      trials: 10_000,
      bad,
    }));

  const suspects = localize([...from(0, 50), ...from(1, 50), ...from(2, 0)]);

  expect(suspects.map(({ place, alternatives }) => [place, alternatives]).toSorted()).toEqual([
    ["pod:0", []],
    ["pod:1", []],
  ]);
});

test("what is explained is never more than what went wrong", () => {
  const observation = fc.record({
    places: fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 1 }),
    trials: fc.integer({ min: 0, max: 100_000 }),
    bad: fc.integer({ min: 0, max: 1_000 }),
  });
  fc.assert(
    fc.property(fc.array(observation, { maxLength: 12 }), (observations) => {
      const explained = localize(observations).reduce((sum, suspect) => sum + suspect.explained, 0);
      const bad = observations.reduce((sum, each) => sum + (each.trials > 0 ? each.bad : 0), 0);
      expect(explained).toBeLessThanOrEqual(bad * 1.001 + 1e-6);
    }),
  );
});

interface Score {
  right: number;
  wrong: number;
  missed: number;
}

/** Named without an alternative: right or wrong. A faulty place that is not: missed. */
function score(trouble: Trouble, seeds: number): Score {
  const sum: Score = { right: 0, wrong: 0, missed: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    const { faulty, observations } = troubledCluster(seed, trouble);
    const named = localize(observations)
      .filter(({ alternatives }) => alternatives.length === 0)
      .map(({ place }) => place);
    sum.right += named.filter((place) => faulty.has(place)).length;
    sum.wrong += named.filter((place) => !faulty.has(place)).length;
    sum.missed += [...faulty].filter((place) => !named.includes(place)).length;
  }
  return sum;
}

for (const [what, trouble, atLeast] of [
  ["half a percent anywhere, uniform traffic", { faults: 1, loss: 0.005, segments: 60_000, skew: 0 }, 0.95],
  ["a quarter of a percent anywhere, uniform traffic", { faults: 1, loss: 0.0025, segments: 60_000, skew: 0 }, 0.8],
  ["a percent, 80 % of the traffic between two pods", { faults: 1, loss: 0.01, segments: 60_000, skew: 0.8 }, 0.9],
  ["two places, a percent", { faults: 2, loss: 0.01, segments: 120_000, skew: 0 }, 0.9],
] as const)
  test(`of clusters that lose ${what}, no place is named wrongly and most faulty ones are named`, () => {
    const { right, wrong, missed } = score(trouble, 40);

    expect(wrong).toBe(0);
    expect(right / (right + missed)).toBeGreaterThanOrEqual(atLeast);
  });
