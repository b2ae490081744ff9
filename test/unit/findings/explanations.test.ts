/** Which finding accounts for which others, where, for how many, and for how long. */
import { describe, expect, test } from "vitest";
import { AT, COUNTERS } from "../../../agent/edges/counters.ts";
import type { Judged } from "../../../agent/findings/detect.ts";
import type { EdgeEvidence, FindingLimits, Path } from "../../../agent/findings/evidence.ts";
import { Explanations } from "../../../agent/findings/explanations.ts";
import { edgePlaces } from "../../../agent/findings/places.ts";
import { load } from "../config/given.ts";
import { keyOf } from "../series/kernel.ts";
import { CLIENT } from "./evidence.ts";
import { endOf, judgedOf, SECOND_NS } from "./judged.ts";

const LIMITS = load({}).settings.findings as unknown as FindingLimits;
const PLACE = "to 10.0.0.2";
const CAUSE = judgedOf({ finding: "neighbour_unresolved", accountsFor: [{ place: PLACE, count: Infinity }] });
const SYMPTOM = unanswered(23);
/** 23 dropped packets. */
const DROPS = judgedOf({ finding: "packets_dropped", accountsFor: [{ place: PLACE, count: 23 }] });

function unanswered(value: number, place = PLACE): Judged {
  return judgedOf({ finding: "connect_unanswered", value, shows: [{ places: ["end cart", place], count: value }] });
}

const observe = (explanations: Explanations, judged: readonly Judged[], bootNs = 0n) =>
  explanations.observe(judged, LIMITS, bootNs);
const held = (judged: readonly Judged[]) => judged.filter(({ holds }) => holds).map(({ finding }) => finding);

test("a symptom does not hold where its cause does, and keeps its counts", () => {
  const judged = observe(new Explanations(), [SYMPTOM, CAUSE]);

  expect(judged).toEqual([{ ...SYMPTOM, holds: false }, CAUSE]);
});

test.each<[string, Judged[], string[]]>([
  ["at another place", [CAUSE, unanswered(23, "to 10.0.0.3")], ["neighbour_unresolved", "connect_unanswered"]],
  [
    "of which the cause accounts for a part",
    [
      CAUSE,
      {
        ...unanswered(46),
        shows: [PLACE, "to 10.0.0.3"].map((place) => ({ places: [place], count: 23 })),
      },
    ],
    ["neighbour_unresolved", "connect_unanswered"],
  ],
  ["of a cause below its threshold", [{ ...CAUSE, holds: false }, SYMPTOM], ["connect_unanswered"]],
  [
    "that is no symptom of this cause",
    [CAUSE, { ...SYMPTOM, finding: "connect_refused" }],
    ["neighbour_unresolved", "connect_refused"],
  ],
])("a finding %s holds", (_, judged, expected) => {
  expect(held(observe(new Explanations(), judged))).toEqual(expected);
});

describe("a cause accounts for as much as it counted", () => {
  test.each<[string, Judged[], string[]]>([
    ["as many connects as packets", [DROPS, unanswered(23)], ["packets_dropped"]],
    ["more connects, but fewer than make a finding", [DROPS, unanswered(25)], ["packets_dropped"]],
    ["more connects", [DROPS, unanswered(26)], ["packets_dropped", "connect_unanswered"]],
    ["as many connects, of two ends", [DROPS, unanswered(12), unanswered(11)], ["packets_dropped"]],
    ["more connects, of two ends", [DROPS, unanswered(23), unanswered(3)], ["packets_dropped", "connect_unanswered"]],
  ])("%s", (_, judged, expected) => {
    expect(held(observe(new Explanations(), judged))).toEqual(expected);
  });

  test("over its intervals, each packet once", () => {
    const explanations = new Explanations();
    observe(explanations, [DROPS]);
    observe(explanations, [DROPS], SECOND_NS);

    const later = [2n, 3n].map((seconds) => held(observe(explanations, [unanswered(46)], seconds * SECOND_NS)));

    expect(later).toEqual([[], ["connect_unanswered"]]);
  });

  test("and a count of conntrack for its packets, which rules then do not account for", () => {
    const netns = { place: "netns 7", count: 23 };
    const full = judgedOf({ finding: "conntrack_full", accountsFor: [netns, { place: PLACE, count: 23 }] });
    const dropped = (value: number) => ({ ...DROPS, value, shows: [{ places: ["netns 7"], count: value }] });

    expect(held(observe(new Explanations(), [dropped(46), SYMPTOM, full]))).toEqual(["conntrack_full"]);
    expect(held(observe(new Explanations(), [dropped(49), full]))).toEqual(["packets_dropped", "conntrack_full"]);
  });
});

describe("of the losses of a path", () => {
  const growth = new Float64Array(COUNTERS);
  growth[AT.retransmitsFast] = 1_000;
  const remote = { kind: "pod", name: "db", namespace: "shop", podName: "db-1", label: "shop/db-1" } as const;
  const edge: EdgeEvidence = {
    ...{ key: keyOf(CLIENT), names: { local: endOf("cart"), remote: { ...remote, nodeName: "node-2" } } },
    ...{ growth, open: 0, limit: 0 },
  };
  const path: Path = {
    ...{ id: "cart db", places: ["peer_node node-2"], segments: 100_000, lost: 1_000, peerNode: "node-2" },
    edges: [edge],
  };
  const [, , between = ""] = edgePlaces(edge);

  test.each<[string, Judged, number]>([
    ["none is left where a node is silent, long before that is a partition", silent("node-2"), 0],
    ["all are left where another one is", silent("node-3"), 1_000],
    ["a packet of 64 KiB accounts for 45 segments", droppedAt(between, 20), 1_000 - 20 * 45],
    ["none is left where there were packets enough", droppedAt(between, 23), 0],
  ])("%s", (_, cause, lost) => {
    const explanations = new Explanations();
    observe(explanations, [cause]);

    const [left] = explanations.withoutExplained([path], 0n);

    expect(left).toEqual({ ...path, lost, edges: lost === 0 ? [] : [edge] });
  });

  function silent(node: string): Judged {
    return judgedOf({
      finding: "partition",
      holds: false,
      accountsFor: [{ place: `node ${node}`, count: Infinity }],
    });
  }

  function droppedAt(place: string, count: number): Judged {
    return { ...DROPS, accountsFor: [{ place, count }] };
  }
});

test("a connect fails long after its last SYN: a cause accounts for it for 70 seconds, and not for more", () => {
  const explanations = new Explanations();
  observe(explanations, [CAUSE]);

  const late = [70n, 71n].map((seconds) => held(observe(explanations, [SYMPTOM], seconds * SECOND_NS)));

  expect(late).toEqual([[], ["connect_unanswered"]]);
});

test("of more accounts than are kept the oldest are forgotten", () => {
  const explanations = new Explanations();
  const others = Array.from({ length: 10_000 }, (_, i) => {
    return { place: `to 10.1.${i >> 8}.${i & 255}`, count: Infinity };
  });
  observe(explanations, [CAUSE]);

  const one = held(observe(explanations, [{ ...CAUSE, accountsFor: others.slice(1) }, SYMPTOM], 1n));
  const full = held(observe(explanations, [{ ...CAUSE, accountsFor: others }, SYMPTOM], 2n));

  expect([one, full]).toEqual([["neighbour_unresolved"], ["neighbour_unresolved", "connect_unanswered"]]);
});
