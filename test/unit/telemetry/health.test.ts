/** What alive and ready mean. */
import { expect, test } from "vitest";
import type { MetadataVitals } from "../../../agent/model/metadata.ts";
import { liveness, readiness, type Vitals } from "../../../agent/telemetry/health.ts";
import { PipelineVitals } from "../../../agent/telemetry/vitals.ts";

/** An agent in good health, one second after an exchange. */
function vitals(change: Partial<Vitals> = {}): Vitals {
  return {
    nowMs: 1_000_000,
    startedMs: 0,
    lastTurnMs: 999_000,
    lastExchangeMs: 999_000,
    intervalMs: 15_000,
    trouble: undefined,
    metadata: [feed({ name: "local-pods" }), feed({ name: "services" })],
    ...change,
  };
}

/** A feed that a bookmark has just confirmed. */
function feed(change: Partial<MetadataVitals> = {}): MetadataVitals {
  return { name: "pods", synced: true, ageMs: 23_000, idleMs: 23_000, trouble: undefined, ...change };
}

test("an agent in good health is alive and ready", () => {
  expect([liveness(vitals()).ok, readiness(vitals())]).toEqual([
    true,
    {
      ok: true,
      checks: [
        { name: "probe", ok: true, detail: "answers" },
        { name: "exchange", ok: true, detail: "last one 1.0 s ago, limit 60.0 s" },
        { name: "counting", ok: true, detail: "what the kernel counts is seen" },
        { name: "names", ok: true, detail: "metadata is complete and fresh" },
      ],
    },
  ]);
});

const UNREADY: [string, Partial<Vitals>, object][] = [
  ["a probe that does not answer", { trouble: "connection refused" }, { name: "probe", detail: "connection refused" }],
  [
    "a probe that went, long before the next exchange",
    { intervalMs: 3_600_000, probeAwayMs: 15_001 },
    { name: "probe", detail: "no probe has been connected for 15.0 s" },
  ],
  ["flows that see nothing", { blindness: "blind: x" }, { name: "counting", detail: "blind: x" }],
  [
    "a program that is detached",
    { probeTroubles: ["hooks"] },
    {
      name: "counting",
      detail: "a kernel program is detached: the probe's log names it; start the probe again",
    },
  ],
  [
    "a cgroup filter whose cgroup is gone",
    { probeTroubles: ["filter"] },
    { name: "counting", detail: "the cgroup of probe.cgroup is gone: nothing is counted until it is made again" },
  ],
  ["an old exchange", { lastExchangeMs: 939_000 }, { name: "exchange", detail: "last one 61.0 s ago, limit 60.0 s" }],
  [
    "a feed that may not be read",
    { metadata: [feed(), feed({ name: "services", synced: false, trouble: "forbidden: status 403: no" })] },
    { name: "names", detail: "services: not read yet (forbidden: status 403: no)" },
  ],
  [
    "a node's name that no node has, though all has come",
    { namesTrouble: 'no node is called "x"' },
    { name: "names", detail: 'no node is called "x"' },
  ],
  [
    "a feed that has not come yet",
    { metadata: [feed({ synced: false })] },
    { name: "names", detail: "pods: not read yet" },
  ],
  [
    "a feed that is too old",
    { metadata: [feed({ ageMs: 300_001, trouble: "refused: connect ECONNREFUSED" })] },
    { name: "names", detail: "pods: last confirmed 300.0 s ago, limit 300.0 s (refused: connect ECONNREFUSED)" },
  ],
];

test.each(UNREADY)("%s makes the agent unready and leaves it alive", (_name, change, check) => {
  const health = readiness(vitals(change));

  expect(health.checks.filter(({ ok }) => !ok)).toEqual([{ ok: false, ...check }]);
  expect([health.ok, liveness(vitals(change)).ok]).toEqual([false, true]);
});

test("an API server that has just gone leaves the agent ready, and is named", () => {
  const metadata = [feed({ ageMs: 31_000, trouble: "refused: connect ECONNREFUSED" }), feed({ name: "nodes" })];

  const { ok, checks } = readiness(vitals({ metadata }));

  expect({ ok, names: checks.at(-1) }).toEqual({
    ok: true,
    names: {
      name: "names",
      ok: true,
      detail: "pods: last confirmed 31.0 s ago, limit 300.0 s (refused: connect ECONNREFUSED)",
    },
  });
});

test("without Kubernetes no metadata is missing", () => {
  expect(readiness(vitals({ metadata: [] })).ok).toBe(true);
});

test("an API server that has been away for a day leaves the agent alive", () => {
  const metadata = [feed({ ageMs: 86_400_000, idleMs: 30_000, trouble: "refused: connect ECONNREFUSED" })];

  expect(liveness(vitals({ metadata })).ok).toBe(true);
});

test("a watch that neither hears nor tries anything makes the agent dead", () => {
  const metadata = [feed(), feed({ name: "nodes", idleMs: 600_001 })];

  expect(liveness(vitals({ metadata })).checks.filter(({ ok }) => !ok)).toEqual([
    { name: "watch of nodes", ok: false, detail: "stands still for 600.0 s" },
  ]);
});

test("a loop that stands still makes the agent dead, however short its interval", () => {
  expect(liveness(vitals({ intervalMs: 100, lastTurnMs: 1_000_000 - 120_201 }))).toEqual({
    ok: false,
    checks: [{ name: "loop", ok: false, detail: "last turn began 120.2 s ago, limit 120.2 s" }],
  });
});

test("vitals keep what happened last, and a good exchange ends the trouble", () => {
  let nowMs = 100;
  const metadata = [feed()];
  const kept = new PipelineVitals({ intervalMs: () => 1000, metadata: () => metadata, nowMs: () => nowMs });

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
    metadata,
    namesTrouble: undefined,
    blindness: undefined,
    probeTroubles: [],
    probeAwayMs: undefined,
  });
});

test("the age of the last exchange counts from the start until there is one, and from that one then", () => {
  let nowMs = 1_000_000;
  const pipeline = new PipelineVitals({ intervalMs: () => 15_000, metadata: () => [], nowMs: () => nowMs });
  const ages: number[] = [];
  const after = (ms: number) => {
    nowMs += ms;
    ages.push(pipeline.exchangeAgeMs());
  };

  after(23_000);
  pipeline.failed(new Error("no probe"));
  after(15_000);
  pipeline.exchanged();
  after(7);

  expect(ages).toEqual([23_000, 38_000, 7]);
});

test("a probe that is away for a moment, as in an upgrade, takes nobody out of service", () => {
  expect(readiness(vitals({ probeAwayMs: 2_000 })).ok).toBe(true);
});

test("missing pins are shown and take nobody out of service, since the probe counts on", () => {
  const counting = readiness(vitals({ probeTroubles: ["pins"] })).checks.find(({ name }) => name === "counting");

  expect(counting).toMatchObject({ ok: true, detail: expect.stringContaining("the probe's pins are gone") });
});
