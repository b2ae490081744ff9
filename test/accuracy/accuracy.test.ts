/**
 * A sample of `make accuracy` on real sockets: three scenarios whose faults are large enough to be seen in the seconds that a test has, and
 * a few minutes of healthy traffic in short intervals.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../machine/needs.ts";
import { SEED } from "../torture/sample.ts";
import { Campaign } from "./campaign.ts";
import { playHealthy } from "./healthy.ts";
import type { Fault } from "./scenario.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const INTERVAL_MS = 2_000;
const TIMEOUT_MS = 180_000;

let campaign: Campaign;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) campaign = await Campaign.start(INTERVAL_MS);
}, TIMEOUT_MS);

afterAll(() => campaign?.close());

const SCENARIOS: readonly [string, readonly Fault[]][] = [
  ["a link that loses packets", [{ kind: "loss", at: { kind: "link", nodes: ["node-1", "node-2"] }, share: 0.02 }]],
  [
    "a pod that loses packets, and a closed port elsewhere",
    [
      { kind: "loss", at: { kind: "pod", pod: "n2p1" }, share: 0.02 },
      { kind: "connect_refused", client: "n1p3", server: "n3p3" },
    ],
  ],
  ["a node that loses packets", [{ kind: "loss", at: { kind: "node", node: "node-3" }, share: 0.02 }]],
];

for (const [what, faults] of SCENARIOS)
  test(
    `${what} is found where it is, and nothing else is`,
    async () => {
      const { verdict } = await campaign.play({ seed: 0, busiest: undefined, faults });

      const { wrong, wrongPlaces } = verdict;
      expect({ outcomes: verdict.faults.map(({ outcome }) => outcome), wrong, wrongPlaces }).toEqual({
        outcomes: faults.map(() => "found"),
        wrong: [],
        wrongPlaces: [],
      });
    },
    TIMEOUT_MS,
  );

test(
  `restless healthy traffic of seed ${SEED} has no finding`,
  async () => {
    await campaign.close();

    const { found, happened } = await playHealthy(SEED, 1_000, 24);

    expect(found).toEqual([]);
    expect(Object.keys(happened).length).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
