/** Evidence over a real connection to a receiver, which holds each point against the registry. */
import { expect, onTestFinished, test } from "vitest";
import { createTransport } from "../../../agent/otlp/transport.ts";
import { deliverBy, EvidenceStep } from "../../../agent/runtime/evidence-step.ts";
import { decodeEvidence } from "../../../agent/source/decode-evidence.ts";
import { Receiver } from "../../otlp/receiver.ts";
import { load } from "../config/given.ts";
import { clusterIdentity, ns, pod, put, START_MS } from "../naming/cluster-builders.ts";
import { evidenceFrame } from "../source/frames-builder.ts";

const CONNTRACK = { entries: 3, limit: 100, insertFailed: 23, drop: 29, earlyDrop: 31 };

function row(values: Parameters<typeof evidenceFrame>[0]) {
  const decoded = decodeEvidence(Buffer.from(evidenceFrame({ sinceNs: ns(START_MS), ...values }).payload));
  if (typeof decoded === "string") throw new Error(decoded);
  return decoded;
}

test("each metric of evidence arrives as the registry has it, and the rows that were in it are settled", async () => {
  const receiver = await Receiver.start();
  onTestFinished(() => receiver.close());
  const { settings } = load({});
  const transport = createTransport({ endpoint: receiver.endpoint });
  onTestFinished(() => transport.shutdown());
  const identity = clusterIdentity();
  const pods = [pod("client-1", { addresses: ["10.1.0.1"] }), pod("server-1", { addresses: ["10.1.0.2"] })];
  put(identity, { localPods: pods, pods });
  const outcomes: string[] = [];
  const deliver = deliverBy(transport, settings, ({ outcome }) => outcomes.push(outcome.state));
  const step = new EvidenceStep({ settings, identity, deliver });
  const bootNs = ns(START_MS + 15_000);
  const counters = { netns: 7, cookie: 1n, cgroup: 0n, conntrack: CONNTRACK };

  const settled = await step.deliver(
    step.take({
      evidence: {
        rows: [
          row({ count: 23 }),
          row({ kind: "neighbour-unresolved", localAddress: "::", remoteAddress: "10.1.0.9" }),
        ],
        totals: [
          { kindOf: "drop", reason: 76, name: "NETFILTER_DROP", startedNs: ns(START_MS), count: 23, leftOut: 0 },
        ],
        neighbourTables: [{ family: "ipv4", thresholds: [1, 2, 3], entries: 2, overflows: 5, unresolved: 7 }],
      },
      namespaces: [counters as Parameters<EvidenceStep["take"]>[0]["namespaces"][number]],
      end: { bootNs, realtimeNs: bootNs + ns(1_700_000_000_000) },
    }),
  );

  expect(outcomes).toEqual(["accepted"]);
  expect(settled.map(({ isEvidence }) => isEvidence)).toEqual([true, true]);
  expect(receiver.points.map(({ metric, value }) => [metric, value])).toEqual([
    ["flowspan.packet.drops", 23],
    ["flowspan.neighbour.failures", 1],
    ["flowspan.node.packet.drops", 23],
    ["flowspan.neighbour.table.entries", 2],
    ["flowspan.neighbour.table.limit", 3],
    ["flowspan.neighbour.table.overflows", 5],
    ["flowspan.conntrack.entries", 3],
    ["flowspan.conntrack.limit", 100],
    ["flowspan.conntrack.failures", 23],
    ["flowspan.conntrack.failures", 29],
    ["flowspan.conntrack.failures", 31],
  ]);
});
