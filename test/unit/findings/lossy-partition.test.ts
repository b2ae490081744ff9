/** Which growth, of edges to other nodes, is a partition that lets a part through: of which node, for how long, and what it explains. */
import { describe, expect, test } from "vitest";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import type { Counts } from "../series/kernel.ts";
import { FindingLab, NODE, told, troubleOf } from "./evidence.ts";

const pod = (node: number, number: number) => `10.0.${node}.${number}`;
const edge = (node: number, number: number, local = "cart") => `client ${local}>${pod(node, number)}:80`;

function labOf({ partition, ...others }: Readonly<Record<string, object>> = {}): FindingLab {
  const lab = new FindingLab({ partition: { lossy: 0.125, ...partition }, ...others });
  for (const node of [1, 2, 3])
    for (const number of [1, 2, 3, 4]) lab.identity.describe(pod(node, number), { nodeName: `node-${node}` });
  lab.play();
  return lab;
}

type Growth = Readonly<Record<string, Counts>>;

/** 25 of 100 segments are sent again, one of them for nothing. */
const LOSSY: Counts = {
  segsOut: 102,
  segsIn: 60,
  rttUs: 23_000,
  retransmitsSyn: 2,
  retransmitsFast: 16,
  retransmitsTimeout: 10,
  spurious: 1,
};
const WELL: Counts = { segsOut: 100, segsIn: 100, rttUs: 23_000 };
const both = (node: number, counts: Counts): Growth => ({ [edge(node, 1)]: counts, [edge(node, 2)]: counts });

test("a node to which most pods lose the share is a lossy partition, with what was sent again, until it is well", () => {
  const lab = labOf();

  const records = lab.play({ grow: { ...both(2, LOSSY), ...both(3, WELL) } });
  const later = [1, 2, 3].map(() => told(lab.play({ grow: { ...both(2, WELL), ...both(3, WELL) } })));

  expect(told(records)).toEqual(["partition start"]);
  expect(records[0]).toMatchObject({ severity: "error", resource: { id: NODE.id } });
  expect(records[0]?.attributes).toMatchObject({
    "flowspan.finding.value": 15,
    "flowspan.peer.k8s.node.name": "node-2",
    "flowspan.partition.kind": "lossy",
    "flowspan.partition.lost_share": 0.25,
    "flowspan.partition.nodes": 1,
    "flowspan.partition.peers": 2,
    "flowspan.partition.senders": 1,
    "flowspan.partition.segments_received": 120,
    "flowspan.tcp.retransmit.syn": 4,
    "flowspan.tcp.retransmit.timeout": 20,
  });
  expect(later).toEqual([[], ["partition end"], []]);
});

test("losses to all other nodes are one finding of this one, without a peer", () => {
  const lab = labOf();

  const records = lab.play({ grow: { ...both(2, LOSSY), ...both(3, LOSSY) } });

  expect(told(records)).toEqual(["partition start"]);
  expect(records[0]?.attributes).toMatchObject({ "flowspan.partition.kind": "lossy", "flowspan.partition.nodes": 2 });
  expect(records[0]?.attributes).not.toHaveProperty("flowspan.peer.k8s.node.name");
});

test("it goes on where it becomes silent, and is one finding: it is cut off once nothing came for the threshold", () => {
  const lab = labOf({ partition: { threshold: 20 } });
  const cut: Counts = { segsOut: 3, retransmitsTimeout: 2 };
  const play = (counts: Counts) => lab.play({ grow: { ...both(2, counts), ...both(3, WELL) } });

  const records = [LOSSY, LOSSY, cut, cut, cut, WELL, WELL, WELL].flatMap(play);

  expect(told(records)).toEqual(["partition start", "partition end"]);
  expect(records[0]?.attributes).toMatchObject({ "flowspan.partition.kind": "lossy" });
  expect(records[1]?.attributes).toMatchObject({ "flowspan.partition.kind": "unreachable" });
});

test("it explains retransmits towards its node, from the first interval on and while its connections recover", () => {
  const lab = labOf({ partition: { threshold: 40 } });
  const resumed: Counts = { ...WELL, segsOut: 1_000, retransmitsTimeout: 50 };

  const found = [LOSSY, LOSSY, LOSSY, resumed, resumed].flatMap((counts) =>
    told(lab.play({ grow: { ...both(2, counts), ...both(3, WELL) } })),
  );

  expect(found).toEqual(["partition start", "partition end"]);
});

describe("no partition", () => {
  const few: Counts = { segsOut: 4, segsIn: 2, rttUs: 23, retransmitsTimeout: 2 };
  test.each<[string, Growth]>([
    [
      "one pod that loses beside three that do not",
      { [edge(2, 1)]: LOSSY, [edge(2, 2)]: WELL, [edge(2, 3)]: WELL, [edge(2, 4)]: WELL },
    ],
    ["one pod that loses, and no other one is sent to", { [edge(2, 1)]: LOSSY }],
    [
      "two pods of four, with most of the traffic",
      { ...both(2, LOSSY), [edge(2, 3)]: { ...WELL, segsOut: 10 }, [edge(2, 4)]: { ...WELL, segsOut: 10 } },
    ],
    ["pods of this node", both(1, LOSSY)],
    ["a few segments", both(2, few)],
    ["less than the share", both(2, { ...LOSSY, segsOut: 400 })],
    [
      "SYNs, since a full accept queue makes clients send them again",
      both(2, { ...WELL, opened: 50, retransmitsSyn: 50 }),
    ],
    ["segments that were sent again for nothing", both(2, { ...LOSSY, spurious: 20 })],
  ])("%s", (_, grow) => {
    const lab = labOf({ retransmits: { enabled: false }, connect_unanswered: { enabled: false } });

    expect([1, 2, 3].flatMap(() => told(lab.play({ grow: { ...both(3, WELL), ...grow } })))).toEqual([]);
  });

  test("what this node itself drops", () => {
    const lab = labOf({ retransmits: { enabled: false } });
    const remote: RemoteEnd = {
      ...{ kind: "pod", name: "a", namespace: "b", podName: "c" },
      nodeName: "node-2",
      label: "b/c",
    } as const;
    const drop = troubleOf({ reason: "QDISC_DROP", count: 20, remote });

    expect(told(lab.play({ grow: { ...both(2, LOSSY), ...both(3, WELL) }, troubles: [drop] }))).not.toContain(
      "partition start",
    );
  });

  test("a loss shorter than the threshold, twice", () => {
    const lab = labOf({ partition: { threshold: 16 }, retransmits: { enabled: false } });

    const found = [LOSSY, WELL, LOSSY, WELL].flatMap((counts) => told(lab.play({ grow: both(2, counts) })));

    expect(found).toEqual([]);
  });
});
