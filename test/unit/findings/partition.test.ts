/** Which growth, of edges to other nodes, is a partition: of which node, seen how, for how long, and what it explains. */
import { describe, expect, test } from "vitest";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import type { Counts } from "../series/kernel.ts";
import { FindingLab, NODE, told, troubleOf } from "./evidence.ts";

/** Address of a pod of that node, as `client cart>10.0.2.1:80` has it. */
const pod = (node: number, number: number) => `10.0.${node}.${number}`;
const edge = (node: number, number: number, local = "cart") => `client ${local}>${pod(node, number)}:80`;

/** Two pods on each of node-1, which is the own one, to node-3. */
function labOf(settings: object = {}, peers: Readonly<Record<string, Partial<RemoteEnd>>> = {}): FindingLab {
  const lab = new FindingLab(settings);
  for (const node of [1, 2, 3])
    for (const number of [1, 2]) lab.identity.describe(pod(node, number), { nodeName: `node-${node}` });
  for (const [address, peer] of Object.entries(peers)) lab.identity.describe(address, peer);
  lab.play();
  return lab;
}

type Growth = Readonly<Record<string, Counts>>;

const NOBODY = { name: undefined, namespace: undefined, podName: undefined } as const;
const ANSWERED: Counts = { segsOut: 10, segsIn: 10, rttUs: 23_000 };
const UNANSWERED: Counts = { segsOut: 3, retransmitsTimeout: 2 };
const HEARD: Counts = { ...UNANSWERED, segsIn: 5 };

const both = (node: number, counts: Counts): Growth => ({ [edge(node, 1)]: counts, [edge(node, 2)]: counts });

test("a node of which two pods do not answer is a partition of it, on this node, with all that was tried", () => {
  const lab = labOf();
  lab.play({ grow: { ...both(2, ANSWERED), ...both(3, ANSWERED) } });

  const trouble = {
    [edge(2, 1)]: { ...UNANSWERED, retransmitsTlp: 1 },
    [edge(2, 2, "bill")]: { failedTimedOut: 3, failedHostUnreachable: 1, retransmitsSyn: 6 },
  };
  const [record, ...others] = lab.play({ grow: { ...trouble, ...both(3, ANSWERED) } });

  expect(others).toEqual([]);
  expect(record).toMatchObject({ severity: "error", resource: { id: NODE.id } });
  expect(record?.attributes).toEqual({
    "flowspan.finding.state": "start",
    "flowspan.finding.id": expect.anything(),
    "flowspan.finding.value": 15,
    "flowspan.finding.threshold": 10,
    "flowspan.finding.intervals": 1,
    "flowspan.peer.k8s.node.name": "node-2",
    "flowspan.partition.kind": "unreachable",
    "flowspan.partition.nodes": 1,
    "flowspan.partition.peers": 2,
    "flowspan.partition.senders": 2,
    "flowspan.partition.segments_received": 0,
    "flowspan.tcp.retransmit.syn": 6,
    "flowspan.tcp.retransmit.timeout": 2,
    "flowspan.tcp.retransmit.tail_loss_probe": 1,
    "flowspan.connect.timed_out": 3,
    "flowspan.partition.connects_unreachable": 1,
    "flowspan.neighbour.unresolved": 0,
  });
});

test("an address of the node that no neighbour answers for is a part of it, and no finding of its own", () => {
  const lab = labOf();
  const remote: RemoteEnd = { ...NOBODY, kind: "node", nodeName: "node-2", label: "node/node-2" };
  const unresolved = troubleOf({
    key: { kind: "neighbour-unresolved" },
    count: 23,
    local: NODE,
    isOwned: false,
    remote,
  });

  const records = lab.play({ grow: { [edge(2, 1)]: UNANSWERED }, troubles: [unresolved] });

  expect(told(records)).toEqual(["partition start"]);
  expect(records[0]?.attributes).toMatchObject({ "flowspan.partition.peers": 2, "flowspan.neighbour.unresolved": 23 });
});

test("segments that come from a node that does not get ours are a partition of one way", () => {
  const lab = labOf();

  const [record] = lab.play({ grow: both(2, HEARD) });

  expect(record?.attributes).toMatchObject({
    "flowspan.partition.kind": "one_way",
    "flowspan.partition.segments_received": 10,
  });
});

test("segments of the first interval alone prove no way: they came just before", () => {
  const lab = labOf({ partition: { threshold: 20 } });

  lab.play({ grow: both(2, HEARD) });
  const [record] = lab.play({ grow: both(2, UNANSWERED) });

  expect(record?.attributes).toMatchObject({
    "flowspan.partition.kind": "unreachable",
    "flowspan.partition.segments_received": 10,
    "flowspan.tcp.retransmit.timeout": 8,
  });
});

describe("it goes on", () => {
  test("while nobody tries, since the kernel waits up to two minutes, and ends with one answer", () => {
    const lab = labOf();
    const start = told(lab.play({ grow: both(2, UNANSWERED) }));
    const quiet = Array.from({ length: 8 }, () => told(lab.play()));

    const healed = lab.play({ grow: { [edge(2, 1)]: ANSWERED } });
    const [end] = lab.play();

    expect([start, ...quiet, told(healed)].flat()).toEqual(["partition start"]);
    expect(end?.attributes).toMatchObject({ "flowspan.finding.state": "end", "flowspan.finding.value": 135 });
  });

  test("for four minutes after the last try: then nobody can tell", () => {
    const lab = labOf();
    lab.play({ grow: both(2, UNANSWERED) });

    const later = Array.from({ length: 20 }, () => told(lab.play()).join());

    expect(later.indexOf("partition end")).toBe(16 + 1);
  });
});

describe("no partition", () => {
  test.each<[string, Growth, Readonly<Record<string, Partial<RemoteEnd>>>?]>([
    ["one pod that does not answer beside one that does", { [edge(2, 1)]: UNANSWERED, [edge(2, 2)]: ANSWERED }],
    ["one pod that does not answer, and no other one is asked", { [edge(2, 1)]: UNANSWERED }],
    ["pods of this node", both(1, UNANSWERED)],
    ["peers whose node is not known", { [edge(9, 1)]: UNANSWERED, [edge(9, 2)]: UNANSWERED }],
    ["pods of two nodes", { [edge(2, 1)]: UNANSWERED, [edge(3, 1)]: UNANSWERED }],
    ["idle connections", both(2, { segsOut: 1 })],
    [
      "one pod that is asked by its address and by its Service",
      { [edge(2, 1)]: UNANSWERED, [edge(96, 1)]: UNANSWERED },
      { [pod(96, 1)]: { kind: "service", name: pod(2, 1), nodeName: "node-2" } },
    ],
    [
      "one pod that is asked by both of its addresses",
      { [edge(2, 1)]: UNANSWERED, [edge(2, 2)]: UNANSWERED },
      Object.fromEntries([1, 2].map((number) => [pod(2, number), { label: "shop/cart-1", nodeName: "node-2" }])),
    ],
  ])("%s", (_, grow, peers) => {
    const lab = labOf({}, peers);

    const found = [1, 2, 3].flatMap(() => told(lab.play({ grow })));

    expect(found.filter((each) => each.startsWith("partition"))).toEqual([]);
  });

  test.each<[string, Counts]>([
    ["opens a connection", { opened: 1 }],
    ["acknowledges a segment", { rttUs: 23 }],
    ["refuses one", { failedRefused: 1 }],
  ])("two pods that do not answer, where a third one %s", (_, answer) => {
    const lab = labOf({}, { [pod(2, 3)]: { nodeName: "node-2" } });

    const found = [1, 2, 3].flatMap(() => told(lab.play({ grow: { ...both(2, UNANSWERED), [edge(2, 3)]: answer } })));

    expect(found.filter((each) => each.startsWith("partition"))).toEqual([]);
  });

  test("a silence shorter than the threshold", () => {
    const lab = labOf({ partition: { threshold: 16 } });

    expect(told(lab.play({ grow: both(2, UNANSWERED) }))).toEqual([]);
    expect(told(lab.play({ grow: both(2, ANSWERED) }))).toEqual([]);
    expect(told(lab.play({ grow: both(2, UNANSWERED) }))).toEqual([]);
  });
});

describe("this node is cut off", () => {
  test("where two nodes became silent and none answers: one finding, without a peer", () => {
    const lab = labOf();

    const records = lab.play({ grow: { ...both(2, UNANSWERED), ...both(3, UNANSWERED) } });

    expect(told(records)).toEqual(["partition start"]);
    expect(records[0]?.attributes).toMatchObject({ "flowspan.partition.nodes": 2, "flowspan.partition.peers": 4 });
    expect(records[0]?.attributes).not.toHaveProperty("flowspan.peer.k8s.node.name");
  });

  test("also where one of them answered last just before an interval, and the other just after", () => {
    const lab = labOf({ partition: { threshold: 20 } });
    lab.play({ grow: { ...both(2, UNANSWERED), ...both(3, ANSWERED) } });

    const records = lab.play({ grow: { ...both(2, UNANSWERED), ...both(3, UNANSWERED) } });

    expect(told(records)).toEqual(["partition start"]);
    expect(records[0]?.attributes).toMatchObject({ "flowspan.partition.nodes": 2 });
  });

  test("not where two of three are silent: each has its own finding, also while the third has no traffic", () => {
    const lab = labOf({}, { [pod(4, 1)]: { nodeName: "node-4" } });
    const cut = { ...both(2, UNANSWERED), ...both(3, UNANSWERED) };

    const first = told(lab.play({ grow: { ...cut, [edge(4, 1)]: ANSWERED } }));
    lab.play({ grow: { ...cut, [edge(4, 1)]: ANSWERED } });
    const later = [lab.play({ grow: cut }), lab.play({ grow: cut })].flatMap(told);

    expect([first, later]).toEqual([["partition start", "partition start"], []]);
  });

  test("no more where one of them answers again: the other one has its own finding", () => {
    const lab = labOf();
    lab.play({ grow: { ...both(2, UNANSWERED), ...both(3, UNANSWERED) } });

    const [start] = lab.play({ grow: { ...both(2, UNANSWERED), ...both(3, ANSWERED) } });
    const [end] = lab.play();

    expect(start?.attributes).toMatchObject({ "flowspan.peer.k8s.node.name": "node-2" });
    expect(end?.attributes).toMatchObject({ "flowspan.finding.state": "end", "flowspan.partition.nodes": 2 });
  });
});

describe("a partition explains", () => {
  const trouble: Counts = { failedTimedOut: 23, retransmitsSyn: 46, retransmitsTimeout: 23, segsOut: 100 };

  test("connects without an answer and retransmits towards its node, from the first silent interval on", () => {
    const lab = labOf({ partition: { threshold: 60 } });
    const intervals = Array.from({ length: 5 }, () => told(lab.play({ grow: both(2, trouble) })));

    expect(intervals).toEqual([[], [], [], ["partition start"], []]);
  });

  test("what its connections send again while they recover, for as long as the silence lasted, and no later loss", () => {
    const lab = labOf();
    const resumed: Counts = { ...ANSWERED, segsOut: 1_000, retransmitsTimeout: 100 };
    const play = (counts: Counts) => told(lab.play({ grow: { ...both(2, counts), ...both(3, ANSWERED) } }));

    const silent = [play(UNANSWERED), play(UNANSWERED)];
    const after = Array.from({ length: 7 }, () => play(resumed));

    expect([...silent, ...after]).toEqual([
      ["partition start"],
      [],
      [],
      ["partition end"],
      [],
      [],
      [],
      [],
      ["retransmits start"],
    ]);
  });

  test("no retransmits after a silence that was none: it was shorter than the threshold", () => {
    const lab = labOf({ partition: { threshold: 60 } });
    const grow = both(2, { ...ANSWERED, segsOut: 1_000, retransmitsTimeout: 100 });
    lab.play({ grow: both(2, UNANSWERED) });

    expect([1, 2, 3].flatMap(() => told(lab.play({ grow })))).toContain("retransmits start");
  });

  test("none of those towards other nodes, of other kinds, or where it is switched off", () => {
    const elsewhere = { [edge(3, 1)]: { failedTimedOut: 23 }, [edge(2, 2)]: { ...trouble, failedNoLocalPort: 23 } };
    const grow = { ...both(2, trouble), ...elsewhere };

    expect(told(labOf().play({ grow }))).toEqual([
      "ports_exhausted start",
      "connect_unanswered start",
      "partition start",
    ]);
    expect(told(labOf({ partition: { enabled: false } }).play({ grow: both(2, trouble) }))).toEqual([
      "connect_unanswered start",
      "connect_unanswered start",
    ]);
  });
});
