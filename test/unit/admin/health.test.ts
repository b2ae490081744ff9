/** What alive and ready mean. */
import { expect, test } from "vitest";
import { liveness, readiness, type Vitals } from "../../../agent/admin/health.ts";
import { PipelineVitals } from "../../../agent/admin/vitals.ts";

/** An agent in good health, one second after an exchange. */
function vitals(change: Partial<Vitals> = {}): Vitals {
  return {
    nowMs: 1_000_000,
    startedMs: 0,
    lastTurnMs: 999_000,
    lastExchangeMs: 999_000,
    intervalMs: 15_000,
    trouble: undefined,
    synced: true,
    ...change,
  };
}

test("an agent in good health is alive and ready", () => {
  expect([liveness(vitals()).ok, readiness(vitals())]).toEqual([
    true,
    {
      ok: true,
      checks: [
        { name: "probe", ok: true, detail: "answers" },
        { name: "exchange", ok: true, detail: "last one 1.0 s ago, limit 60.0 s" },
        { name: "names", ok: true, detail: "metadata is complete" },
      ],
    },
  ]);
});

const UNREADY: [string, Partial<Vitals>, object][] = [
  ["a probe that does not answer", { trouble: "connection refused" }, { name: "probe", detail: "connection refused" }],
  ["an old exchange", { lastExchangeMs: 939_000 }, { name: "exchange", detail: "last one 61.0 s ago, limit 60.0 s" }],
  ["missing metadata", { synced: false }, { name: "names", detail: "metadata has not come yet" }],
];

test.each(UNREADY)("%s makes the agent unready and leaves it alive", (_name, change, check) => {
  const health = readiness(vitals(change));

  expect(health.checks.filter(({ ok }) => !ok)).toEqual([{ ok: false, ...check }]);
  expect([health.ok, liveness(vitals(change)).ok]).toEqual([false, true]);
});

test("a loop that stands still makes the agent dead, however short its interval", () => {
  expect(liveness(vitals({ intervalMs: 100, lastTurnMs: 1_000_000 - 120_201 }))).toEqual({
    ok: false,
    checks: [{ name: "loop", ok: false, detail: "last turn began 120.2 s ago, limit 120.2 s" }],
  });
});

test("vitals keep what happened last, and a good exchange ends the trouble", () => {
  let nowMs = 100;
  const kept = new PipelineVitals({ intervalMs: () => 1000, synced: () => false, nowMs: () => nowMs });

  nowMs = 200;
  kept.turn();
  kept.failed(new Error("no probe"));
  const before = kept.read();
  nowMs = 300;
  kept.exchanged();

  expect(before.trouble).toBe("no probe");
  expect(kept.read()).toEqual({
    nowMs: 300,
    startedMs: 100,
    lastTurnMs: 200,
    lastExchangeMs: 300,
    intervalMs: 1000,
    trouble: undefined,
    synced: false,
  });
});
