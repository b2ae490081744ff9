/** How the accuracy campaign judges: what agents say together, and which findings are right, wrong or not enough. */
import { describe, expect, test } from "vitest";
import { joinPlaces, type Seen } from "../../accuracy/joined.ts";
import { type Found, judge } from "../../accuracy/judge.ts";
import { renderReport } from "../../accuracy/report.ts";
import { type Fault, kindOf, type Scenario, scenarioOf } from "../../accuracy/scenario.ts";

const on = (node: string, ...candidates: string[]): Seen => ({ node, candidates });

describe("what agents of several nodes say together", () => {
  test.each<[string, readonly Seen[], readonly string[], readonly string[]]>([
    ["nothing", [], [], []],
    [
      "each end of a link names the other's node: it is the link",
      [on("node-1", "peer_node node-2"), on("node-2", "peer_node node-1")],
      ["link node-1 node-2"],
      [],
    ],
    [
      "all others name a node: it is the node",
      [on("node-1", "peer_node node-2"), on("node-3", "peer_node node-2")],
      ["node node-2"],
      [],
    ],
    ["a node names itself", [on("node-2", "local_node node-2")], ["node node-2"], []],
    ["one end of a link names the other's node", [on("node-1", "peer_node node-2")], ["link node-1 node-2"], []],
    [
      "a pod is named from both sides",
      [on("node-1", "peer_pod default/a"), on("node-2", "local_pod default/a")],
      ["pod default/a"],
      [],
    ],
    [
      "what one does not know, another does",
      [on("node-1", "peer_pod default/a", "local_pod default/b"), on("node-2", "local_pod default/a")],
      ["pod default/a"],
      [],
    ],
    [
      "nobody tells two pods apart",
      [on("node-1", "peer_pod default/a", "local_pod default/b")],
      [],
      ["pod default/a", "pod default/b"],
    ],
  ])("%s", (_, seen, places, undecided) => {
    expect(joinPlaces(seen)).toEqual({ places, undecided });
  });
});

const REFUSED: Fault = { kind: "connect_refused", client: "n1p1", server: "n2p1" };
const LINK: Fault = { kind: "loss", at: { kind: "link", nodes: ["node-1", "node-2"] }, share: 0.01 };

function found(more: Partial<Found>): Found {
  return {
    name: "connect_refused",
    node: "node-1",
    subject: "default/n1p1",
    peer: "default/n2p1",
    candidates: [],
    intervals: 1,
    ...more,
  };
}

function judged(faults: readonly Fault[], ...all: Found[]) {
  const scenario: Scenario = { seed: 23, busiest: undefined, faults };
  const { faults: verdicts, wrong } = judge(scenario, all, (key) => `default/${key}`);
  return { outcomes: verdicts.map(({ outcome }) => outcome), wrong };
}

describe("a scenario's verdict", () => {
  test("what was made and found is right", () => {
    const retransmits = found({ name: "retransmits", subject: undefined, candidates: ["peer_node node-2"] });
    const other = { ...retransmits, node: "node-2", candidates: ["peer_node node-1"] };

    expect(judged([REFUSED, LINK], found({}), retransmits, other)).toEqual({ outcomes: ["found", "found"], wrong: [] });
  });

  test("what was made and not found is missed", () => {
    expect(judged([REFUSED, LINK])).toEqual({ outcomes: ["missed", "missed"], wrong: [] });
  });

  test("a finding of another client, another kind or another place is wrong", () => {
    const elsewhere = found({ subject: "default/n1p2" });
    const unanswered = found({ name: "connect_unanswered" });
    const node = found({ name: "retransmits", candidates: ["local_node node-3"] });

    expect(judged([REFUSED, LINK], elsewhere, unanswered, node).wrong).toEqual([
      "retransmits: node node-3",
      "connect_refused: default/n1p2 to default/n2p1",
      "connect_unanswered: default/n1p1 to default/n2p1",
    ]);
  });

  test("candidates that hold the right place are neither right nor wrong", () => {
    const candidates = ["peer_node node-2", "local_node node-1"];
    const one = found({ name: "retransmits", candidates });
    const two = found({ name: "retransmits", node: "node-3", candidates: ["peer_node node-1", "peer_node node-2"] });

    expect(judged([LINK], one, two).outcomes).not.toContain("found");
  });

  test("a loss in a healthy cluster is wrong even where only candidates are named", () => {
    const seen = found({ name: "retransmits", candidates: ["peer_pod default/a", "local_pod default/b"] });

    expect(judged([], seen).wrong).toEqual(["retransmits: one of pod default/a, pod default/b"]);
  });
});

test("one seed gives one scenario, of one to five faults, each kind among them", () => {
  const scenarios = Array.from({ length: 500 }, (_, seed) => scenarioOf(seed));

  expect(scenarioOf(23)).toEqual(scenarios[23]);
  expect(new Set(scenarios.map(({ faults }) => faults.length))).toEqual(new Set([1, 2, 3, 4, 5]));
  expect(new Set(scenarios.flatMap(({ faults }) => faults.map(kindOf))).size).toBe(8);
});

test("the report counts what was found, what was missed and what is wrong", () => {
  const fault = { kind: "connect_refused", share: undefined, skewed: false, faults: 1, intervals: 2 } as const;
  const verdicts = [
    { seed: 1, faults: [{ ...fault, outcome: "found" as const }], wrong: [] },
    {
      seed: 2,
      faults: [{ ...fault, outcome: "missed" as const, intervals: undefined }],
      wrong: ["syn_cookies: a to b"],
    },
  ];

  const report = renderReport({ seed: 7, interval: 2000, verdicts });

  expect(report).toContain("Precision: 0.50 (1 right, 1 wrong)");
  expect(report).toContain("| connect_refused | 2 | 1 | 0 | 1 | 0.50 | 2 |");
});
