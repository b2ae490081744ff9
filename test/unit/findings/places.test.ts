/** Retransmits by place: which traffic lost segments, healthy traffic beside it, and the place that is found. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { LogRecord } from "../../../agent/model/log-record.ts";
import { FindingLab, NODE, told } from "./evidence.ts";

const SEGMENTS = 10_000;
/** Peers on two other nodes, two on each, by their addresses. */
const PEERS = { a1: "node-2", a2: "node-2", b1: "node-3", b2: "node-3" } as const;
const LOCALS = ["cart", "bill"] as const;

/** Segments that each pair loses in an interval: by local pod and peer. */
type Lost = (local: string, peer: string) => number;

function world(): FindingLab {
  const lab = new FindingLab();
  for (const [peer, node] of Object.entries(PEERS)) lab.identity.place(peer, node);
  lab.play({ grow: pairs(() => 0) });
  return lab;
}

function pairs(lost: Lost) {
  return Object.fromEntries(
    LOCALS.flatMap((local) =>
      Object.keys(PEERS).map((peer) => {
        const counts = { segsOut: SEGMENTS, retransmitsFast: lost(local, peer) };
        return [`client ${local}>${peer}:80`, counts] as const;
      }),
    ),
  );
}

/** What starts in intervals that lose so much. */
function startsOf(...intervals: readonly Lost[]): LogRecord[] {
  const lab = world();
  return intervals
    .flatMap((lost) => lab.play({ grow: pairs(lost) }))
    .filter(({ attributes }) => attributes["flowspan.finding.state"] === "start");
}

const placeOf = ({ attributes }: LogRecord) => [
  attributes["flowspan.finding.place"],
  attributes["flowspan.finding.place.name"] ?? attributes["flowspan.finding.place.candidates"],
];

test.each<[string, Lost, readonly unknown[], string, string | undefined]>([
  ["a peer's pod", (_, peer) => (peer === "a1" ? 50 : 0), ["peer_pod", "shop/a1"], "node-1", "node-2"],
  ["a peer's node", (_, peer) => (peer.startsWith("a") ? 50 : 0), ["peer_node", "node-2"], "node-1", "node-2"],
  ["a pod here", (local) => (local === "cart" ? 50 : 0), ["local_pod", "cart"], "cart", undefined],
  ["this node", () => 50, ["local_node", "node-1"], "node-1", undefined],
  [
    "a pair of which each end reaches others",
    (local, peer) => (local === "cart" && peer === "a1" ? 50 : 0),
    ["pair", "cart > shop/a1"],
    "cart",
    "node-2",
  ],
])("the place that loses is %s", (_, lost, place, subject, peerNode) => {
  const starts = startsOf(lost, lost);

  expect(starts.map(placeOf)).toEqual([place]);
  expect(starts[0]?.resource.id).toBe(subject);
  expect(starts[0]?.attributes["flowspan.peer.k8s.node.name"]).toBe(peerNode);
});

test("many pairs that share a place are one finding, with the losses of all of them", () => {
  const lab = world();
  const lost: Lost = (_, peer) => (peer.startsWith("a") ? 50 : 0);

  lab.play({ grow: pairs(lost) });
  const [start, ...others] = lab.play({ grow: pairs(lost) });

  expect(others).toEqual([]);
  expect(start?.attributes).toMatchObject({
    "flowspan.finding.place.paths": 4,
    "flowspan.tcp.segments.sent": 4 * SEGMENTS,
    "flowspan.tcp.retransmit.count": 200,
    "flowspan.tcp.retransmit.fast": 200,
  });
  expect(start?.attributes["flowspan.finding.value"]).toBeCloseTo(0.0048, 4);
});

test("one bad interval, or two with a healthy one between them, are no finding", () => {
  const bad: Lost = () => 50;
  const well: Lost = () => 0;

  expect(startsOf(bad, well, bad, well)).toEqual([]);
});

test("a loss that two intervals do not show is found in the third", () => {
  const lab = world();
  const quiet = (lost: number) =>
    Object.fromEntries(
      Object.keys(pairs(() => 0)).map((id) => [id, { segsOut: 2_400, retransmitsFast: id.includes("a1") ? lost : 0 }]),
    );

  expect([1, 2, 3, 4].map(() => told(lab.play({ grow: quiet(4) })))).toEqual([[], [], ["retransmits start"], []]);
});

test("a fault that ends while traffic moves elsewhere keeps its place, and names no other one", () => {
  const lab = world();
  // Two hundredths are lost to a peer that has most of the traffic, and to the others of its node.
  const traffic = (most: string, segments: number, lossy: number) =>
    Object.fromEntries(
      Object.keys(pairs(() => 0)).map((id) => {
        const segsOut = id.includes(most) ? segments : 2_000;
        return [id, { segsOut, retransmitsFast: id.includes(">a") ? Math.round(segsOut * lossy) : 0 }] as const;
      }),
    );
  const fault = traffic(">a1", 40_000, 0.02);
  // The fault has a quarter of the interval.
  const end = traffic(">a2", 30_000, 0);
  for (const [id, { segsOut, retransmitsFast }] of Object.entries(fault)) {
    const counts = end[id] ?? { segsOut: 0, retransmitsFast: 0 };
    end[id] = { segsOut: counts.segsOut + segsOut / 4, retransmitsFast: retransmitsFast / 4 };
  }

  const records = [fault, fault, fault, end, traffic(">a2", 40_000, 0), {}, {}].flatMap((grow) => lab.play({ grow }));

  expect(told(records)).toEqual(["retransmits start", "retransmits end"]);
  expect(records.map(placeOf)).toEqual([
    ["peer_node", "node-2"],
    ["peer_node", "node-2"],
  ]);
});

test("losses below what healthy networks lose are no finding", () => {
  const few: Lost = () => 3;

  expect(startsOf(few, few, few, few)).toEqual([]);
});

test("a finding goes on under its id when its place becomes known", () => {
  const lab = new FindingLab();
  for (const [peer, node] of Object.entries(PEERS)) lab.identity.place(peer, node);
  const alone = { "client cart>a1:80": { segsOut: SEGMENTS, retransmitsFast: 50 } };
  const beside = { ...pairs((_, peer) => (peer === "a1" ? 50 : 0)) };
  lab.play({ grow: { "client cart>a1:80": { segsOut: 1 } } });

  const records = [alone, alone, beside, beside, beside, {}, {}, {}].flatMap((grow) => lab.play({ grow }));

  expect(told(records)).toEqual(["retransmits start", "retransmits end"]);
  const [start, end] = records as [LogRecord, LogRecord];
  expect(placeOf(start)[0]).toBe("unknown");
  expect(placeOf(end)).toEqual(["peer_pod", "shop/a1"]);
  expect(end.attributes["flowspan.finding.id"]).toBe(start.attributes["flowspan.finding.id"]);
});

test("whatever is lost where, no two findings have one place, and none counts more than was lost", () => {
  const losses = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(losses, { minLength: 2, maxLength: 6 }), (intervals) => {
      const lab = world();
      const places = Object.keys(PEERS);
      const records = intervals.flatMap((each) =>
        lab.play({
          grow: pairs((local, peer) => each[LOCALS.indexOf(local as never) * 4 + places.indexOf(peer)] ?? 0),
        }),
      );
      const all = intervals.flat().reduce((sum, lost) => sum + lost, 0);
      const ends = lab.findings.end();
      for (const { attributes } of [...records, ...ends])
        expect(Number(attributes["flowspan.tcp.retransmit.count"])).toBeLessThanOrEqual(all);
      const keys = ends.map((end) => JSON.stringify(placeOf(end)));
      expect(new Set(keys).size).toBe(keys.length);
      expect(NODE.label).toBe("node-1");
    }),
    { numRuns: 50 },
  );
});
