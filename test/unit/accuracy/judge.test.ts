/** How the accuracy campaign judges: which findings and places are right, wrong or not enough. */
import { describe, expect, test } from "vitest";
import type { Suspect } from "../../../agent/findings/localize.ts";
import { type Found, judge } from "../../accuracy/judge.ts";
import { renderReport } from "../../accuracy/report.ts";
import {
  type ApplicationFault,
  type ApplicationKind,
  type Fault,
  isLonely,
  kindOf,
  nodeOf,
  peersOf,
  type Scenario,
  scenarioOf,
} from "../../accuracy/scenario.ts";

const REFUSED: Fault = { kind: "connect_refused", client: "n1p1", server: "n2p1" };
const LINK: Fault = { kind: "loss", at: { kind: "link", nodes: ["node-1", "node-2"] }, share: 0.01 };

function found(more: Partial<Found>): Found {
  return {
    name: "connect_refused",
    node: "node-1",
    subject: "n1p1",
    peer: "n2p1",
    candidates: [],
    intervals: 1,
    ...more,
  };
}

const LINK_SUSPECT = suspect("link node-1 node-2");

function suspect(place: string, ...alternatives: string[]): Suspect {
  return { place, alternatives, rate: 0.01, trials: 1000, explained: 10, evidence: 23 };
}

function judged(faults: readonly Fault[], all: readonly Found[], suspects: readonly Suspect[] = []) {
  const scenario: Scenario = { seed: 23, busiest: undefined, faults };
  const { faults: verdicts, wrong, wrongPlaces } = judge(scenario, all, suspects);
  return { outcomes: verdicts.map(({ outcome }) => outcome), wrong: [...wrong, ...wrongPlaces] };
}

describe("a scenario's verdict", () => {
  const lossy = found({ name: "retransmits", subject: undefined, candidates: ["peer_node node-2"] });

  test("what was made and found is right", () => {
    const outcome = judged([REFUSED, LINK], [found({}), lossy], [LINK_SUSPECT]);

    expect(outcome).toEqual({ outcomes: ["found", "found"], wrong: [] });
  });

  test("what was made and not found is missed, although all counts together would tell", () => {
    expect(judged([REFUSED, LINK], [], [LINK_SUSPECT])).toEqual({ outcomes: ["missed", "missed"], wrong: [] });
  });

  test("a loss of which all together name several places is unknown", () => {
    const several = suspect("node node-2", "link node-1 node-2");

    expect(judged([LINK], [lossy], [several])).toEqual({ outcomes: ["unknown"], wrong: [] });
  });

  test("a finding of another client, another kind or another place is wrong", () => {
    const elsewhere = found({ subject: "n1p2" });
    const unanswered = found({ name: "connect_unanswered" });
    const node = found({ name: "retransmits", candidates: ["local_node node-3"] });

    expect(judged([REFUSED, LINK], [elsewhere, unanswered, node]).wrong).toEqual([
      "connect_refused at node-1: n1p2 to n2p1",
      "connect_unanswered at node-1: n1p1 to n2p1",
      "retransmits at node-1: local_node node-3",
    ]);
  });

  test("a place that all together name and that is none of the faults' is wrong", () => {
    expect(judged([LINK], [lossy], [LINK_SUSPECT, suspect("pod n3p1")]).wrong).toEqual(["pod n3p1"]);
  });

  test("the link of a partition is a place that loses, and no other link is", () => {
    const cut: Fault = { kind: "partition", client: "n1p1", server: "n3p1" };
    const hole: Fault = { kind: "mtu_black_hole", client: "n2p4", server: "n3p2" };
    const beside = found({ name: "retransmits", node: "node-2", subject: "n2p4", candidates: ["pair n2p4 > n3p2"] });

    expect(judged([cut, hole], [beside], [suspect("link node-1 node-3")]).wrong).toEqual([]);
    expect(judged([cut, hole], [beside], [suspect("link node-1 node-2")]).wrong).toEqual(["link node-1 node-2"]);
  });

  test("clients of a full accept queue may get no answer, and others may not", () => {
    const overflow: Fault = { kind: "listen_queue_overflow", client: "n1p1", server: "n2p1" };
    const queue = found({ name: "listen_queue_overflow", node: "node-2", subject: "n2p1", peer: undefined });
    const unanswered = found({ name: "connect_unanswered" });

    expect(judged([overflow], [queue, unanswered])).toEqual({ outcomes: ["found"], wrong: [] });
    expect(judged([overflow], [queue, { ...unanswered, subject: "n1p2" }]).wrong).toHaveLength(1);
  });
});

describe("what each kind is found as", () => {
  const elsewhere = { node: "node-2", subject: undefined, peer: undefined } as const;
  const lossy = found({ name: "retransmits", candidates: ["pair n1p1 > n2p3"], subject: "n1p1" });

  test.each<[ApplicationKind, Partial<Found>, Partial<Found>]>([
    ["syn_cookies", { ...elsewhere, subject: "n2p3" }, { subject: "n1p1", peer: undefined }],
    ["socket_memory", { peer: undefined }, { ...elsewhere, subject: "n2p3" }],
    ["neighbour_unresolved", { peer: undefined }, { ...elsewhere, subject: "n2p3" }],
    ["packets_dropped", elsewhere, { subject: undefined, peer: undefined }],
    ["mtu_black_hole", elsewhere, { subject: "n1p1", peer: undefined }],
    ["small_send_buffer", { peer: "n2p3" }, { ...elsewhere, subject: "n2p3" }],
    ["conntrack_full", elsewhere, { ...elsewhere, node: "node-3" }],
    ["partition", { ...elsewhere, peerNode: "node-1" }, { ...elsewhere, peerNode: "node-3" }],
  ])("%s", (kind, right, wrong) => {
    const fault: Fault = { kind, client: "n1p1", server: "n2p3" };
    const of = (more: Partial<Found>) => judged([fault], [found({ name: kind, ...more })]);

    expect(of(right)).toEqual({ outcomes: ["found"], wrong: [] });
    expect(of(wrong)).toMatchObject({ outcomes: ["missed"], wrong: [expect.stringContaining(kind)] });
  });

  test("what another node's agent sees of dropped and of too large packets is right beside it, and nowhere else", () => {
    const [dropped, tooLarge] = (["packets_dropped", "mtu_black_hole"] as const).map((kind): Fault => {
      return { kind, client: "n1p1", server: "n2p3" };
    }) as [Fault, Fault];
    const unanswered = found({ name: "connect_unanswered", peer: "n2p3" });
    const pair = suspect("pair n1p1 n2p3");

    expect(judged([dropped], [unanswered]).wrong).toEqual([]);
    expect(judged([dropped], [{ ...unanswered, subject: "n1p2" }, lossy]).wrong).toHaveLength(2);
    expect(judged([tooLarge], [lossy], [pair]).wrong).toEqual([]);
    expect(judged([tooLarge], [unanswered, lossy], [suspect("pair n1p2 n2p2")]).wrong).toHaveLength(2);
  });
});

test("faults of a scenario have no pod in common, and nothing else is between the nodes of a partition", () => {
  for (const { faults, busiest } of Array.from({ length: 500 }, (_, seed) => scenarioOf(seed))) {
    const others = faults.filter(
      (fault): fault is ApplicationFault => fault.kind !== "loss" && fault.kind !== "partition",
    );
    const pods = others.flatMap(({ client, server }) => [client, server]);
    const cut = faults.find((fault): fault is ApplicationFault => fault.kind === "partition");
    const nodes = cut === undefined ? [] : [nodeOf(cut.client), nodeOf(cut.server)];
    const hurt = others.filter(({ kind }) => kind === "syn_cookies" || kind === "mtu_black_hole");

    expect(new Set(pods).size).toBe(pods.length);
    if (cut !== undefined) expect(faults.length).toBe(others.length + 1);
    expect(
      others.filter(({ client, server }) => nodes.includes(nodeOf(client)) && nodes.includes(nodeOf(server))),
    ).toEqual([]);
    for (const { client, server } of hurt) {
      expect(peersOf(client)).not.toContain(server);
      expect(peersOf(server)).not.toContain(client);
      expect([client, server].sort()).not.toEqual([busiest?.client, busiest?.server].sort());
    }
  }
});

test("each second scenario of a campaign begins with a kind in its turn: each is drawn eight times in 300, and two of them alone", () => {
  const scenarios = Array.from({ length: 300 }, (_, turn) => scenarioOf(turn, turn));
  const drawn = Map.groupBy(
    scenarios.flatMap(({ faults }) => faults),
    ({ kind }) => kind,
  );
  const lonely = scenarios.filter(({ faults }) => faults.some(({ kind }) => isLonely(kind)));

  expect([...drawn].filter(([, faults]) => faults.length < 8)).toEqual([]);
  expect(drawn.size).toBe(14);
  expect(lonely.length).toBeGreaterThan(15);
  expect(lonely.filter(({ faults, busiest }) => faults.length !== 1 || busiest !== undefined)).toEqual([]);
});

test("one seed gives one scenario, of one to five faults, each kind among them", () => {
  const scenarios = Array.from({ length: 500 }, (_, seed) => scenarioOf(seed));

  expect(scenarioOf(23)).toEqual(scenarios[23]);
  expect(new Set(scenarios.map(({ faults }) => faults.length))).toEqual(new Set([1, 2, 3, 4, 5]));
  expect(new Set(scenarios.flatMap(({ faults }) => faults.map(kindOf))).size).toBe(14);
});

test("one wrong finding of five hundred is no precision of 1.00", () => {
  const verdicts = [{ seed: 1, faults: [], findings: 500, wrong: ["syn_cookies at node-1: a to b"], wrongPlaces: [] }];

  const report = renderReport({ seed: 7, interval: 2000, verdicts });

  expect(report).toContain("Precision of findings: 0.998 (500 findings of agents, 1 of them wrong)");
});

test("the report counts what was found, what was missed and what is wrong", () => {
  const fault = { kind: "connect_refused", share: undefined, skewed: false, faults: 1, intervals: 2 } as const;
  const missed = { ...fault, outcome: "missed" as const, intervals: undefined };
  const verdicts = [
    { seed: 1, faults: [{ ...fault, outcome: "found" as const }], findings: 1, wrong: [], wrongPlaces: [] },
    { seed: 2, faults: [missed], findings: 1, wrong: ["syn_cookies at node-1: a to b"], wrongPlaces: [] },
  ];

  const report = renderReport({ seed: 7, interval: 2000, verdicts });

  expect(report).toContain("Precision of findings: 0.50 (2 findings of agents, 1 of them wrong)");
  expect(report).toContain("| connect_refused | 2 | 1 | 1 | 0 | 1 | 0.50 |");
  expect(report).toContain("| made ↓ said → | connect_refused | nothing | syn_cookies |");
  expect(report).toContain("| connect_refused | 1 | 1 |  |\n| nothing |  |  | 1 |");
});
