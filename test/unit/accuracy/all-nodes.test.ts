/** What all agents' points say of where segments are lost. */
import { expect, test } from "vitest";
import { suspectsOfAll } from "../../accuracy/all-nodes.ts";
import { nodeOf, PODS } from "../../accuracy/scenario.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";

const FROM = 1_000n;
const UNTIL = 2_000n;
/** Of each pair, before the fault: as many as nobody must count. */
const OLD = 5_000;
const SEGMENTS = 10_000;

function point(metric: string, from: string, to: string, more: Partial<ReceivedPoint> & { attribute?: string }) {
  const { attribute = "", ...values } = more;
  const [name = "", value = ""] = attribute.split("=");
  return {
    metric,
    resource: { "service.name": from, "k8s.node.name": nodeOf(from) },
    attributes: { "service.peer.name": to, ...(name !== "" && { [name]: value }) },
    kind: "cumulative",
    startUnixNs: 0n,
    ...values,
  } as ReceivedPoint;
}

/** Every pair of pods on different nodes. @param lost of the segments that the first sends to the second */
function pointsOf(lost: (from: string, to: string) => number): ReceivedPoint[] {
  const pairs = PODS.flatMap((from) =>
    PODS.filter((to) => nodeOf(to) !== nodeOf(from)).map((to) => [from, to] as const),
  );
  return [FROM, UNTIL].flatMap((timeUnixNs) =>
    pairs.flatMap(([from, to]) => {
      const now = timeUnixNs === UNTIL;
      const resent = OLD + (now ? lost(from, to) : 0);
      const sent = { timeUnixNs, value: OLD + (now ? SEGMENTS : 0), attribute: "network.io.direction=transmit" };
      const again = { timeUnixNs, value: resent, attribute: "flowspan.tcp.retransmit.type=fast" };
      const syn = { timeUnixNs, value: now ? 900 : 0, attribute: "flowspan.tcp.retransmit.type=syn" };
      return [
        point("flowspan.tcp.segments", from, to, sent),
        point("flowspan.tcp.retransmits", from, to, again),
        point("flowspan.tcp.retransmits", from, to, syn),
      ];
    }),
  );
}

const touches = (node: string) => (from: string, to: string) =>
  nodeOf(from) === node || nodeOf(to) === node ? 100 : 0;

test.each<[string, (from: string, to: string) => number, readonly string[]]>([
  ["nothing", () => 0, []],
  ["a node", touches("node-2"), ["node node-2"]],
  [
    "a link",
    (from, to) => ([nodeOf(from), nodeOf(to)].sort().join() === "node-1,node-3" ? 100 : 0),
    ["link node-1 node-3"],
  ],
  ["a pod", (from, to) => (from === "n3p2" || to === "n3p2" ? 100 : 0), ["pod n3p2"]],
])("%s", (_, lost, places) => {
  const suspects = suspectsOfAll(pointsOf(lost), FROM, UNTIL);

  expect(suspects.map(({ place }) => place)).toEqual(places);
  expect(suspects.flatMap(({ alternatives }) => alternatives)).toEqual([]);
});

test("what was sent again for nothing is no loss", () => {
  const spurious = pointsOf(touches("node-2")).flatMap((each) =>
    each.attributes["flowspan.tcp.retransmit.type"] === "fast"
      ? [each, { ...each, metric: "flowspan.tcp.retransmits.spurious" }]
      : [each],
  );

  expect(suspectsOfAll(spurious, FROM, UNTIL)).toEqual([]);
});
