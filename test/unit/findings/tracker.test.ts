/** When findings start and end, how often, and what becomes of those that find no room. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Judged } from "../../../agent/findings/detect.ts";
import { type FindingEvent, FindingTracker } from "../../../agent/findings/tracker.ts";
import { FINDINGS, type FindingName } from "../../../agent/generated/findings.ts";
import { intervalEnd, judgedOf, SECOND_NS } from "./judged.ts";

const ROOMY = { limit: 1_000, ratePerMinute: 1_000 };

/** Plays intervals; `said` are the events of each. */
function play(intervals: readonly (readonly Judged[])[], limits = ROOMY) {
  const tracker = new FindingTracker(() => limits);
  const said = intervals.map((judged, number) => tracker.observe(judged, intervalEnd(number)));
  return { tracker, said };
}

const states = (said: readonly (readonly FindingEvent[])[]) => said.map((events) => events.map(({ state }) => state));

// connect_refused: starts after one interval, ends after two; slow_reader: two and two.
const REFUSED = judgedOf({ counts: { "flowspan.connect.refused": 23 } });
const BELOW = { ...REFUSED, holds: false, value: 1, counts: { "flowspan.connect.refused": 1 } };
const STALLED = judgedOf({ finding: "slow_reader" });

test("a finding starts with the interval that shows it often enough and ends after enough without it", () => {
  const { said } = play([[REFUSED], [REFUSED], [], []]);

  expect(states(said)).toEqual([["start"], [], [], ["end"]]);
  expect(said[3]?.[0]).toMatchObject({ id: said[0]?.[0]?.id, endedBy: "recovery", intervals: 2 });
});

test("one interval does not start a finding that takes two in a row", () => {
  expect(states(play([[STALLED], [], [STALLED], [], [STALLED], [STALLED]]).said)).toEqual([
    [],
    [],
    [],
    [],
    [],
    ["start"],
  ]);
});

test("an interval without it does not end a finding that takes two in a row", () => {
  expect(states(play([[REFUSED], [], [REFUSED], [], [REFUSED]]).said)).toEqual([["start"], [], [], [], []]);
});

test("the end has the sum of all counts since the first interval, also of those below the threshold", () => {
  const { said } = play([[REFUSED], [BELOW], [REFUSED], [BELOW], [BELOW]]);

  expect(said[0]?.[0]?.evidence).toEqual({ "flowspan.connect.refused": 23 });
  expect(said[4]?.[0]?.evidence).toEqual({ "flowspan.connect.refused": 49 });
});

test("what goes on below the limits goes on, keeps what it was found as, and starts nothing", () => {
  const weak = { ...BELOW, goesOn: true, facts: { "flowspan.finding.place": "pair" } };
  const strong = { ...REFUSED, facts: { "flowspan.finding.place": "local_pod" } };

  const { said } = play([[weak], [strong], [weak], [weak], [weak], [], []]);

  expect(states(said)).toEqual([[], ["start"], [], [], [], [], ["end"]]);
  expect(said[6]?.[0]?.evidence).toMatchObject({ "flowspan.finding.place": "local_pod" });
});

test("the start has the value that decided, the end the largest", () => {
  const { said } = play([[{ ...REFUSED, value: 5 }], [{ ...REFUSED, value: 29 }], [{ ...REFUSED, value: 7 }], [], []]);

  expect([said[0]?.[0]?.value, said[4]?.[0]?.value]).toEqual([5, 29]);
});

test("evidence below the threshold starts nothing", () => {
  const { tracker, said } = play([[BELOW], [BELOW], [BELOW]]);

  expect({ said, size: tracker.size }).toEqual({ said: [[], [], []], size: 0 });
});

test("places and findings are told apart", () => {
  const elsewhere = { ...REFUSED, key: "cart 81" };
  const other = judgedOf({ finding: "ports_exhausted" });

  const { tracker, said } = play([[REFUSED, elsewhere, other]]);

  expect(states(said)).toEqual([["start", "start", "start"]]);
  expect(new Set(tracker.active().map(({ id }) => id)).size).toBe(3);
  expect([...tracker.started()]).toEqual([
    ["connect_refused", 2],
    ["ports_exhausted", 1],
  ]);
});

test("what finds no room is left out and counted once for as long as it lasts", () => {
  const second = { ...REFUSED, key: "cart 81" };

  const { tracker, said } = play([[REFUSED, second], [REFUSED, second], [REFUSED], [REFUSED, second]], {
    ...ROOMY,
    limit: 1,
  });

  expect(states(said)).toEqual([["start"], [], [], []]);
  expect(tracker.leftOut).toBe(2);
});

test("a finding beyond the rate waits for its turn and then starts", () => {
  const second = { ...REFUSED, key: "cart 81" };
  const both = [REFUSED, second];

  // 15 s an interval: a token of one in a minute comes with the fourth.
  const { tracker, said } = play([both, both, both, both, both], { limit: 10, ratePerMinute: 1 });

  expect(states(said)).toEqual([["start"], [], [], [], ["start"]]);
  expect(tracker.leftOut).toBe(0);
});

test("a finding that is over before its turn is left out: neither its start nor its end is told", () => {
  const second = { ...REFUSED, key: "cart 81" };

  const { tracker, said } = play([[REFUSED, second], [REFUSED], [REFUSED]], { limit: 10, ratePerMinute: 1 });

  expect(states(said)).toEqual([["start"], [], []]);
  expect(tracker.leftOut).toBe(1);
});

test("the agent's end ends what is active, and not what has not started", () => {
  const { tracker } = play([[REFUSED, STALLED]]);

  const ends = tracker.end(intervalEnd(1).timeUnixNs);

  expect(ends.map(({ name, state, endedBy }) => [name, state, endedBy])).toEqual([
    ["connect_refused", "end", "shutdown"],
  ]);
  expect(tracker.active()).toEqual([]);
});

const NAMES = Object.keys(FINDINGS) as FindingName[];
const anyJudged = fc
  .record({ finding: fc.constantFrom(...NAMES), key: fc.constantFrom("a", "b", "c"), holds: fc.boolean() })
  .map((some) => judgedOf(some));
const anyInterval = fc.uniqueArray(anyJudged, { selector: ({ finding, key }) => `${finding} ${key}`, maxLength: 12 });
const anyHistory = fc.array(anyInterval, { minLength: 1, maxLength: 40 });
const anyLimits = fc.record({ limit: fc.integer({ min: 1, max: 30 }), ratePerMinute: fc.integer({ min: 1, max: 60 }) });

test("whatever comes, each start has one end behind it, with its id, and the table stays within its limit", () => {
  fc.assert(
    fc.property(anyHistory, anyLimits, (history, limits) => {
      const tracker = new FindingTracker(() => limits);
      const events: FindingEvent[] = [];
      for (const [number, judged] of history.entries()) {
        events.push(...tracker.observe(judged, intervalEnd(number)));
        expect(tracker.size).toBeLessThanOrEqual(limits.limit);
      }
      const active = tracker.active().map(({ id }) => id);
      events.push(...tracker.end(intervalEnd(history.length).timeUnixNs));

      const open = new Set<string>();
      for (const { id, state } of events) {
        expect(open.has(id)).toBe(state === "end");
        if (state === "start") open.add(id);
        else open.delete(id);
      }
      expect([...open]).toEqual([]);
      const endedByShutdown = events.filter(({ endedBy }) => endedBy === "shutdown").map(({ id }) => id);
      expect(endedByShutdown.sort()).toEqual(active.sort());
    }),
    { numRuns: 500 },
  );
});

test("whatever comes, a place has one finding of a name at a time, and between two of them lie the intervals that both take", () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      const tracker = new FindingTracker(() => ROOMY);
      const endedAt = new Map<FindingName, number>();
      // One place alone: a name then stands for it.
      for (const [number, judged] of history.entries()) {
        const here = judged.filter(({ key }) => key === "a");
        for (const { name, state, sinceUnixNs } of tracker.observe(here, intervalEnd(number))) {
          const { startAfter, endAfter } = FINDINGS[name];
          if (state === "start") {
            const first = Number((sinceUnixNs - intervalEnd(0).timeUnixNs) / (15n * SECOND_NS));
            expect(number - first).toBeGreaterThanOrEqual(startAfter - 1);
            // It ended with the last of endAfter intervals that did not show it.
            expect(first).toBeGreaterThan(endedAt.get(name) ?? -1);
          } else {
            endedAt.set(name, number);
            const silent = history.slice(number - endAfter + 1, number + 1);
            expect(silent.some((each) => each.some((j) => j.finding === name && j.key === "a" && j.holds))).toBe(false);
          }
        }
      }
    }),
    { numRuns: 500 },
  );
});
