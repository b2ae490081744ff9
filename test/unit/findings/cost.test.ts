/** What judging an interval costs: how often what was seen is looked at. */
import { expect, test } from "vitest";
import { COUNTERS } from "../../../agent/edges/counters.ts";
import { detectMtuBlackHole } from "../../../agent/findings/detect-mtu-black-hole.ts";
import { detectPacketsDropped } from "../../../agent/findings/detect-packets-dropped.ts";
import type { Candidate, EdgeEvidence, Evidence } from "../../../agent/findings/evidence.ts";
import { type Place, PlaceModel } from "../../../agent/findings/place-model.ts";
import { keyOf } from "../series/kernel.ts";
import { CLIENT, NODE, troubleOf } from "./evidence.ts";
import { endOf } from "./judged.ts";

const PLACES = 61;

test.each<[string, string, (evidence: Evidence) => readonly Candidate[]]>([
  ["packets_dropped", "NETFILTER_DROP", (evidence) => detectPacketsDropped(evidence, { threshold: 5 })],
  ["mtu_black_hole", "PKT_TOO_BIG", (evidence) => detectMtuBlackHole(evidence, { threshold: 3 })],
])("%s of many places looks at each edge no more than twice", (_, reason, detector) => {
  let looks = 0;
  const key = keyOf(CLIENT);
  const remote = { kind: "unknown", name: undefined, namespace: undefined, podName: undefined, label: "" } as const;
  const edge: EdgeEvidence = {
    get key() {
      looks++;
      return key;
    },
    ...{ names: { local: endOf("cart"), remote }, growth: new Float64Array(COUNTERS).fill(1), open: 0, limit: 0 },
  };
  const drops = Array.from({ length: PLACES }, (_, i) => troubleOf({ reason, key: { netns: 1 + i } }));
  const evidence: Evidence = {
    ...{ intervalMs: 15_000, edges: [edge], namespaces: new Map(), paths: [], node: () => NODE },
    ...{
      drops,
      pastDrops: [],
      neighbours: [],
      neighbourTables: [],
      silentNodes: [],
      lossyNodes: [],
      connects: [],
      recoveringNodes: [],
    },
  };

  expect(detector(evidence)).toHaveLength(PLACES);
  expect(looks).toBeGreaterThan(0);
  expect(looks).toBeLessThanOrEqual(2);
});

test("what a place would explain is found in few looks at each observation, to the best rate", () => {
  let looks = 0;
  const bad = [3, 17, 251];
  const observations = bad.map((count) => ({
    ...{ places: ["node"], trials: 10_007 },
    get bad() {
      looks++;
      return count;
    },
  }));
  const healthyRate = 2e-4;
  const model = new PlaceModel(observations, healthyRate);
  const [place] = model.places as [Place];
  const nothing = model.explain([]);
  looks = 0;

  const gain = model.gain(place, nothing);

  expect(looks / observations.length).toBeLessThanOrEqual(20);
  const gainAt = (rate: number) =>
    bad.reduce((sum, count) => sum + count * Math.log(1 + rate / healthyRate), 0) - place.trials * rate;
  const rates = Array.from({ length: 100_000 }, (_, i) => i * 1e-6);
  const best = rates.reduce((most, rate) => Math.max(most, gainAt(rate)), 0);
  expect(gain).toBeGreaterThanOrEqual(best);
  expect(gain).toBeCloseTo(best, 3);
});
