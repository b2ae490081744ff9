/** What judging an interval costs: edges are not looked at anew for each place that drops packets. */
import { expect, test } from "vitest";
import { COUNTERS } from "../../../agent/edges/counters.ts";
import { detectMtuBlackHole } from "../../../agent/findings/detect-mtu-black-hole.ts";
import { detectPacketsDropped } from "../../../agent/findings/detect-packets-dropped.ts";
import type { Candidate, EdgeEvidence, Evidence } from "../../../agent/findings/evidence.ts";
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
    ...{ drops, pastDrops: [], neighbours: [], neighbourTables: [], silentNodes: [], recoveringNodes: [] },
  };

  expect(detector(evidence)).toHaveLength(PLACES);
  expect(looks).toBeGreaterThan(0);
  expect(looks).toBeLessThanOrEqual(2);
});
