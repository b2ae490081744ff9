/** Rows of evidence → points under whose Resource they belong, sums that survive every answer of a Collector, growth of an interval. */
import { expect, test } from "vitest";
import { Evidence, type EvidenceExchange, type EvidenceOptions } from "../../../agent/evidence/evidence-table.ts";
import type { EvidenceRow, EvidenceTotal } from "../../../agent/model/kernel-evidence.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import { decodeEvidence } from "../../../agent/source/decode-evidence.ts";
import { clusterIdentity, ns, pod, put, START_MS } from "../naming/cluster-builders.ts";
import { type EvidenceValues, evidenceFrame } from "../source/frames-builder.ts";

const CLIENT = "10.1.0.1";
const SERVER = "10.1.0.2";
const POD_NETNS = 4026532001;
const OPTIONS: EvidenceOptions = { temporality: "cumulative", idleNs: ns(60_000), limit: 100, peerAddress: false };
const CGROUP = 77n;
const UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

function row(values: EvidenceValues): EvidenceRow {
  const decoded = decodeEvidence(Buffer.from(evidenceFrame({ sinceNs: ns(START_MS), ...values }).payload));
  if (typeof decoded === "string") throw new Error(decoded);
  return decoded;
}

/** A node with both pods, whose time goes on by a second an exchange. */
function start(options: Partial<EvidenceOptions> = {}) {
  const identity = clusterIdentity();
  const pods = [pod("client-1", { addresses: [CLIENT], uid: UID }), pod("server-1", { addresses: [SERVER] })];
  put(identity, { localPods: pods, pods });
  identity.addCgroup({ id: CGROUP, seenNs: ns(START_MS), names: [`kubepods-pod${UID.replaceAll("-", "_")}.slice`] });
  const evidence = new Evidence(identity, { ...OPTIONS, ...options });
  let second = 15;
  return {
    evidence,
    exchange(rows: readonly EvidenceRow[], more: Partial<EvidenceExchange> = {}) {
      const bootNs = ns(START_MS + 1_000 * second++);
      const totals: EvidenceTotal[] = [
        { kindOf: "drop", reason: 76, name: "NETFILTER_DROP", startedNs: ns(START_MS), count: 5, leftOut: 0 },
      ];
      const exchange: EvidenceExchange = {
        evidence: { rows, totals, neighbourTables: [] },
        namespaces: [],
        end: { bootNs, realtimeNs: bootNs + ns(1_700_000_000_000) },
        ...more,
      };
      return evidence.take(exchange);
    },
  };
}

function ofRows(points: ReturnType<Evidence["take"]>["points"]) {
  return points.filter((point) => "rows" in point);
}

/** Pod or host, direction and role of the only point. */
function whose(points: ReturnType<Evidence["take"]>["points"]) {
  const [point] = ofRows(points);
  const { "k8s.pod.name": name, "host.name": host } = point?.resource.attributes ?? {};
  return [name ?? host, point?.attributes["network.io.direction"], point?.attributes["flowspan.role"]];
}

test.each([
  ["sent by a pod's own socket", { cgroup: CGROUP, direction: "transmit" }, ["client-1", "transmit", "client"]],
  ["forwarded between two pods of the node", { direction: "forward" }, ["client-1", "transmit", "client"]],
  [
    "forwarded to a pod from elsewhere",
    { direction: "forward", localAddress: "203.0.113.7" },
    ["server-1", "receive", "server"],
  ],
  [
    "forwarded through the node",
    { direction: "forward", localAddress: "203.0.113.7", remoteAddress: "203.0.113.8" },
    ["host-1", "receive", "client"],
  ],
  [
    "received without a socket",
    { direction: "receive", role: "server", localAddress: SERVER, remoteAddress: CLIENT },
    ["server-1", "receive", "server"],
  ],
] as const)("a packet %s is whose it is", (_, values, expected) => {
  const { exchange } = start();

  const { points, growth } = exchange([row(values)]);

  expect(whose(points)).toEqual(expected);
  expect(growth.map(({ count, reason, direction }) => [count, reason, direction])).toEqual([
    [1, "NETFILTER_DROP", expected[1]],
  ]);
});

test("a packet without an owner, and a neighbour, go by the pod in whose net namespace they were", () => {
  const untracked = { entries: 0, limit: 0, insertFailed: 0, drop: 0, earlyDrop: 0 };
  const namespaces = [{ netns: POD_NETNS, cgroup: CGROUP, cookie: 1n, conntrack: untracked } as NamespaceCounters];
  const { exchange } = start();
  const arp = row({ netns: POD_NETNS, localAddress: "::", remoteAddress: "::", serverPort: 0, etherType: 0x0806 });
  const neighbour = row({
    kind: "neighbour-unresolved",
    netns: POD_NETNS,
    localAddress: "::",
    remoteAddress: "10.9.9.9",
  });

  const points = ofRows(exchange([arp, neighbour], { namespaces }).points);

  expect(points.map(({ resource }) => resource.attributes["k8s.pod.name"])).toEqual(["client-1", "client-1"]);
  expect(points[1]?.attributes).toEqual({
    "flowspan.neighbour.failure": "unresolved",
    "network.peer.address": "10.9.9.9",
    "network.interface.name": "eth0",
  });
});

test("growth that a Collector refuses comes again once, and what it accepts is settled and stays in the sum", () => {
  const { evidence, exchange } = start();
  const five = row({ count: 5 });
  const first = exchange([five]);
  // Refused: the kernel says it again, larger.
  const second = exchange([row({ count: 7 })]);
  const settled = evidence.accept(second.points);
  const third = exchange([row({ count: 2, exchange: 3n })]);

  const values = [first, second, third].map(({ points }) => ofRows(points)[0]?.value);
  expect(values).toEqual([5, 7, 9]);
  expect(settled.map(({ count }) => count)).toEqual([7]);
  expect([first, second, third].map(({ growth }) => growth[0]?.count)).toEqual([5, 2, 2]);
});

test("as deltas each growth is in one point, from where the last accepted one ended", () => {
  const { evidence, exchange } = start({ temporality: "delta" });
  const first = exchange([row({ count: 5 })]);
  evidence.accept(first.points);
  const quiet = exchange([]);
  const second = exchange([row({ count: 2, exchange: 3n, sinceNs: ns(START_MS + 15_000) })]);

  expect([first, quiet, second].map(({ points }) => ofRows(points).map(({ value }) => value))).toEqual([[5], [], [2]]);
  expect(ofRows(second.points)[0]?.startUnixNs).toBe(ofRows(first.points)[0]?.timeUnixNs);
});

test("a row that was sent keeps its name until it is accepted, whatever is known by then", () => {
  const { evidence, exchange } = start();
  const sent = exchange([row({ count: 5 })]);
  const named = evidence.accept([]).length;
  const again = exchange([row({ count: 5, device: "renamed" })]);

  expect(named).toBe(0);
  expect(ofRows(again.points).map(({ attributes }) => attributes)).toEqual(
    ofRows(sent.points).map(({ attributes }) => attributes),
  );
});

test("the start of a sum is mapped once, and stays where the clocks drift and where the wall clock is set back", () => {
  const { exchange } = start();
  const starts = [0n, -40n, ns(-3_600_000)].map((byNs, i) => {
    const bootNs = ns(START_MS + 30_000 + i);
    const end = { bootNs, realtimeNs: bootNs + ns(1_700_000_000_000) + byNs };
    const { points } = exchange([row({ count: 5 })], { end });
    return points.map(({ metric, startUnixNs, timeUnixNs }) => [metric.name, startUnixNs, timeUnixNs >= startUnixNs]);
  });

  expect(starts[0]?.map(([name]) => name)).toEqual(["flowspan.packet.drops", "flowspan.node.packet.drops"]);
  expect(starts[1]).toEqual(starts[0]);
  expect(starts[2]).toEqual(starts[0]);
});

test("a sum whose row shrank, since the kernel's maps were made anew, ends, and the next one begins no earlier", () => {
  const { exchange } = start();
  const [before] = ofRows(exchange([row({ count: 5 }), row({ count: 2, ifindex: 3 })]).points);

  const [after] = ofRows(exchange([row({ count: 1 })]).points);

  expect([before?.value, after?.value]).toEqual([7, 1]);
  expect((after?.startUnixNs ?? 0n) >= (before?.timeUnixNs ?? 0n)).toBe(true);
});

test("a series that was silent for too long comes back with a start behind its last point, also by an older row", () => {
  const { evidence, exchange } = start({ idleNs: ns(1_500) });
  evidence.accept(exchange([row({ count: 5 })]).points);
  const silent = Array.from({ length: 4 }, () => ofRows(exchange([]).points)[0]);
  const [again] = ofRows(exchange([row({ count: 3, ifindex: 3 })]).points);

  expect(silent.map((point) => point?.value)).toEqual([5, 5, undefined, undefined]);
  expect(again?.value).toBe(3);
  expect((again?.startUnixNs ?? 0n) >= (silent[1]?.timeUnixNs ?? 0n)).toBe(true);
});

test("as deltas, a late row with an older beginning moves no start before the last accepted point", () => {
  const { evidence, exchange } = start({ temporality: "delta" });
  const [first] = ofRows(exchange([row({ count: 5, sinceNs: ns(START_MS + 9_000) })]).points);
  if (first === undefined) throw new Error("no point");
  evidence.accept([first]);

  const [late] = ofRows(exchange([row({ count: 2, ifindex: 3, sinceNs: ns(START_MS) })]).points);

  expect([late?.value, late?.startUnixNs]).toEqual([2, first.timeUnixNs]);
});

test("as deltas, what a kernel's counter had at the first look is in none, and one that comes later is in them from 0", () => {
  const { evidence, exchange } = start({ temporality: "delta" });
  const conntrack = { entries: 3, limit: 100, insertFailed: 0, drop: 0, earlyDrop: 0 };
  const look = (counts: Readonly<Record<string, number>>, drops: Readonly<Record<number, number>>) => {
    const totals = Object.entries(counts).map(([name, count], reason) => ({
      ...{ kindOf: "drop" as const, reason, name, startedNs: ns(START_MS), count, leftOut: 0 },
    }));
    const namespaces = Object.entries(drops).map(
      ([netns, drop]) =>
        ({
          netns: Number(netns),
          cgroup: 0n,
          cookie: BigInt(netns),
          conntrack: { ...conntrack, drop },
        }) as NamespaceCounters,
    );
    const { points } = exchange([], { evidence: { rows: [], totals, neighbourTables: [] }, namespaces });
    evidence.accept(points);
    return points.flatMap(({ value, attributes }) => {
      const of = attributes["flowspan.drop.reason"] ?? attributes["flowspan.conntrack.failure"];
      return of === undefined ? [] : [[of, value]];
    });
  };

  expect(look({ NO_SOCKET: 5 }, { 7: 23 })).toEqual([]);
  expect(look({ NO_SOCKET: 5, TCP_CSUM: 3 }, { 7: 23, 8: 11 })).toEqual([
    ["TCP_CSUM", 3],
    ["drop", 11],
  ]);
  expect(look({ NO_SOCKET: 7, TCP_CSUM: 3 }, { 7: 24, 8: 11 })).toEqual([
    ["NO_SOCKET", 2],
    ["drop", 1],
  ]);
});

test("past the limit growth goes to an exact overflow series of its reason and direction, under the node", () => {
  const { evidence, exchange } = start({ limit: 1 });

  const points = ofRows(
    exchange([row({ count: 5 }), row({ count: 7, serverPort: 81 }), row({ count: 11, serverPort: 82 })]).points,
  );

  expect(points.map(({ value, attributes }) => [value, attributes["otel.metric.overflow"]])).toEqual([
    [5, undefined],
    [18, true],
  ]);
  expect(points[1]?.attributes["network.io.direction"]).toBe("transmit");
  expect(evidence.overBudget).toBe(2);
});

test("a namespace that got the inode number of one that is gone counts from where that one was seen last", () => {
  const { exchange } = start();
  const conntrack = { entries: 3, limit: 100, insertFailed: 23, drop: 0, earlyDrop: 0 };
  const seen = (cookie: bigint, insertFailed: number) =>
    exchange([], {
      namespaces: [{ netns: 7, cgroup: 0n, cookie, conntrack: { ...conntrack, insertFailed } } as NamespaceCounters],
    }).points.find(({ attributes }) => attributes["flowspan.conntrack.failure"] === "insert_failed");

  const [first, second, another] = [seen(1n, 23), seen(1n, 29), seen(2n, 5)];

  expect([first?.value, second?.value, another?.value]).toEqual([23, 29, 5]);
  expect(second?.startUnixNs).toBe(first?.startUnixNs);
  expect((another?.startUnixNs ?? 0n) >= (second?.timeUnixNs ?? 0n)).toBe(true);
});
