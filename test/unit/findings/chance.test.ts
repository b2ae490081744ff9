/** Losses of little traffic: what is found soon, and how rarely chance alone is. */
import { describe, expect, test } from "vitest";
import { detectRetransmits } from "../../../agent/findings/detect-retransmits.ts";
import type { Evidence, Path } from "../../../agent/findings/evidence.ts";
import { PATH_INTERVALS } from "../../../agent/findings/judge.ts";
import { FINDINGS } from "../../../agent/generated/findings.ts";
import { chanceOfStart, falseAlarmsAYear } from "../../accuracy/false-alarms.ts";
import { Random } from "../../torture/program.ts";
import { NODE } from "./evidence.ts";

const LIMITS = Object.fromEntries(
  Object.entries(FINDINGS.retransmits.thresholds).map(([name, { default: value }]) => [name, value]),
) as unknown as Parameters<typeof detectRetransmits>[1];

/** Segments of one pod to each of its peers in an interval, and how many of them are lost. */
type Lost = readonly number[];

function found(intervals: readonly Lost[], segments: number) {
  const paths = intervals.map((lost) =>
    lost.map((each, peer): Path => {
      const places = ["local_pod a", `pair a > ${peer}`, "local_node n", `peer_node ${peer}`, `peer_pod ${peer}`];
      return { id: `a ${peer}`, places, segments, lost: each, peerNode: `${peer}`, edges: [] };
    }),
  );
  const evidence = { paths: paths.toReversed(), node: () => NODE } as unknown as Evidence;
  return detectRetransmits(evidence, LIMITS).some(({ holds }) => holds);
}

function poisson(mean: number, random: Random): number {
  let events = 0;
  let time = 0;
  for (;;) {
    time -= Math.log(1 - random.next());
    if (time >= mean) return events;
    events++;
  }
}

/** The interval in which it is found, counted from 1, or Infinity. */
function whenFound(share: number, segments: number, seed: number): number {
  const random = new Random(seed);
  const intervals: Lost[] = [];
  for (let i = 1; i <= 20; i++) {
    intervals.push([0, 1, 2, 3, 4].map(() => poisson((segments / 5) * share, random)));
    if (found(intervals.slice(-PATH_INTERVALS), segments / 5)) return i;
  }
  return Infinity;
}

test.each([
  // A pod that sends 29 segments a second, in intervals of 15 s.
  [430, 0.005, 8, 0.8],
  [430, 0.01, 4, 0.9],
  [1500, 0.005, 3, 0.9],
  [3000, 0.0025, 3, 0.8],
])("of pods that send %i segments in an interval and lose %f, within %i intervals are found %f", (...row) => {
  const [segments, share, within, atLeast] = row;
  const seeds = Array.from({ length: 100 }, (_, seed) => seed);

  const soon = seeds.filter((seed) => whenFound(share, segments, seed) <= within);

  expect(soon.length / seeds.length).toBeGreaterThanOrEqual(atLeast);
});

test.each<[string, readonly Lost[], number]>([
  ["two bursts, each of one path", [[4], [4]].map((lost) => [...lost, 0, 0]), 100],
  [
    "one hiccup of all paths",
    [
      [0, 0, 0],
      [9, 9, 9],
    ],
    100,
  ],
  [
    "a hiccup, while the last interval is well",
    [
      [5, 5, 5],
      [5, 5, 5],
      [0, 0, 0],
    ],
    1000,
  ],
  [
    "seven segments",
    [
      [1, 1, 1],
      [1, 1, 2],
    ],
    100,
  ],
])("no finding: %s", (_, intervals, segments) => {
  expect(found(intervals, segments)).toBe(false);
});

test("little traffic that loses nothing in one of its intervals is found", () => {
  const lossy: Lost[] = [
    [2, 1, 1],
    [1, 2, 1],
    [1, 0, 0],
  ];

  expect(found([...lossy, [0, 0, 0]], 100)).toBe(true);
});

describe("false alarms", () => {
  test.each([
    [860, 1e-3, 1],
    [860, 5e-4, 2],
    [3000, 4e-4, 2],
  ])(
    "of %i segments in an interval that lose %f in bursts of %i are no more than derived, and no tenth of it",
    (...row) => {
      const [segments, share, burst] = row;
      const random = new Random(7);
      const count = 20_000;
      const lost = Array.from({ length: count }, () => [poisson((segments * share) / burst, random) * burst]);

      const starts = lost.filter((_, i) => {
        const window = lost.slice(Math.max(0, i + 1 - PATH_INTERVALS), i + 1);
        return lost[i]?.[0] !== 0 && window.length === PATH_INTERVALS && found(window, segments);
      });

      const derived = chanceOfStart(segments, share, burst) * count;
      expect(starts.length).toBeLessThanOrEqual(derived + 3 * Math.sqrt(derived));
      expect(starts.length).toBeGreaterThan(derived / 10);
    },
  );

  test("a year of a node with 100 places has some where a hundredth of a percent is lost two by two, and none one by one", () => {
    expect(falseAlarmsAYear({ share: 1e-4, burst: 2, places: 100 })).toBeLessThan(10);
    expect(falseAlarmsAYear({ share: 1e-4, burst: 1, places: 100 })).toBeLessThan(1e-4);
  });
});
