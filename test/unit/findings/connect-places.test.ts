/** Which connects, answered or not, show the place at which they fail. */
import { expect, test } from "vitest";
import type { Counts } from "../series/kernel.ts";
import { FindingLab } from "./evidence.ts";

const pod = (node: number, number: number) => `10.0.${node}.${number}`;
const edge = (local: string, node: number, number: number) => `client ${local}>${pod(node, number)}:80`;
const ANSWERED: Counts = { opened: 100, segsOut: 400, segsIn: 400, rttUs: 23_000 };
const FAILED: Counts = { ...ANSWERED, opened: 60, failedTimedOut: 40, retransmitsSyn: 40 };

/** Each of three local pods connects to two pods of each of two other nodes. @param fails who gets no answer, of whom */
function foundPlaces(fails: (local: string, node: number, number: number) => boolean) {
  const lab = new FindingLab({ partition: { enabled: false } });
  for (const node of [2, 3])
    for (const number of [1, 2])
      lab.identity.describe(pod(node, number), {
        nodeName: `node-${node}`,
        label: `shop/s${node}${number}`,
        podName: `s${node}${number}`,
      });
  lab.play();
  const grow: Record<string, Counts> = {};
  for (const local of ["cart", "bill", "mail"])
    for (const node of [2, 3])
      for (const number of [1, 2]) grow[edge(local, node, number)] = fails(local, node, number) ? FAILED : ANSWERED;
  const records = lab.play({ grow }).filter(({ eventName }) => eventName === "flowspan.finding.connect_unanswered");
  return records.map(({ attributes }) => ({
    place: attributes["flowspan.finding.place"],
    name: attributes["flowspan.finding.place.name"],
  }));
}

test.each<[string, Parameters<typeof foundPlaces>[0], number, object]>([
  ["a node's pods, from whomever", (_, node) => node === 2, 6, { place: "peer_node", name: "node-2" }],
  [
    "one pod, from whomever",
    (_, node, number) => node === 2 && number === 1,
    3,
    { place: "peer_pod", name: "shop/s21" },
  ],
  ["one pod here, to whomever", (local) => local === "cart", 4, { place: "local_pod", name: "cart" }],
  ["all", () => true, 12, { place: "local_node", name: "node-1" }],
  [
    "one pair alone",
    (local, node, number) => local === "cart" && node === 2 && number === 1,
    1,
    { place: "pair", name: "cart > shop/s21" },
  ],
])("connects that fail at %s have that place", (_, fails, count, place) => {
  expect(foundPlaces(fails)).toEqual(Array.from({ length: count }, () => place));
});

test("the place is unknown where the failures alone do not tell: no connect to anybody else was made", () => {
  const lab = new FindingLab();
  lab.identity.describe(pod(2, 1), { nodeName: "node-2", label: "shop/s21", podName: "s21" });
  lab.play();

  const [record] = lab.play({ grow: { [edge("cart", 2, 1)]: FAILED } });

  expect(record?.attributes).toMatchObject({
    "flowspan.finding.place": "unknown",
    "flowspan.finding.place.candidates": expect.arrayContaining(["peer_node node-2", "peer_pod shop/s21"]),
  });
});
