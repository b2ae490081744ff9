/**
 * Coverage where the two sides could count in different units: whatever becomes of segments between two stacks, an
 * agent that sees everything reads 1, and one that sees half of it says so.
 *
 *   client on node-1 ── veth, forwarded, veth ── server on node-2, a probe and an agent on each node
 *
 * Alone: beside another file one segment of 68 was once in the kernel's count and in no flow's, where SYN-ACKs are lost. Perhaps a
 * TIME_WAIT sent it, which answers a late SYN-ACK; that is not proven.
 */
import { statSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import type { MetricDescriptor } from "../../../agent/generated/semconv.ts";
import {
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_ROLE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE,
  ATTR_K8S_NODE_NAME,
  ATTR_NETWORK_IO_DIRECTION,
  METRIC_FLOWSPAN_COVERAGE_CONNECTIONS,
  METRIC_FLOWSPAN_COVERAGE_SEGMENTS,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_SEGMENTS,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import { missing, needs } from "../../machine/needs.ts";
import { seriesTotals, total } from "../../otlp/oracle.ts";
import { ObservedLab } from "../agents/observed.ts";
import { eventually } from "../programs/process.ts";
import { run } from "../programs/run.ts";
import { clientArguments, Workload } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";

const CONNECTIONS = 23;
const PORT = 8080;
/** Long enough for segments that are cut late and merged early. */
const BULK = { upload: 1_000_003, download: 500_009 };

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** How segments go, from which pod, and how many of them the server's kernel counts as one, at least. */
const WAYS = [
  ["merged on their way, IPv4", "plain", () => server().ips.v4, 3],
  ["merged on their way, IPv6", "plain", () => server().ips.v6, 3],
  ["cut before they leave the sender", "cut", () => server().ips.v4, 1],
  ["of both ends in one namespace", "server", () => "127.0.0.1", 1],
] as const;

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const pods = ["plain", "cut", "half", "resent"].map((key) => ({ key }));
  observed = await ObservedLab.start(describe({ nodes: 2, pods: [...pods, { key: "server", node: "node-2" }] }));
  await server().serve({ listen: [{ port: PORT }] });
  // A namespace is seen while a task lives in it, and coverage counts from the first look.
  for (const { key } of pods) pod(key).spawn(["sleep", "infinity"]);
  await inNetns("cut", ["ip", "link", "set", "dev", "eth0", "gso_max_segs", "1"]);
  await observed.watch();
  await observed.exchanges(2);
});

afterAll(() => observed?.close());

/** Handshakes that the server's kernel has counted in PassiveOpens twice: two segments ended them on two CPUs at once. */
let twice = 0;

for (const [how, from, address, merged] of WAYS) {
  test(`coverage is 1 at both ends with segments ${how}`, async () => {
    const to = [{ address: address(), port: PORT }];
    const was = { books: await server().books(), segments: received() };

    const sent = await pod(from).play("send", { to, count: CONNECTIONS, parallel: 7, ...BULK });
    await settled();

    const { InSegs = 0, PassiveOpens = 0 } = booksGrowth(was.books, await server().books(), "Tcp");
    twice += PassiveOpens - CONNECTIONS;
    expect(sent).toMatchObject({ opened: CONNECTIONS, closed: CONNECTIONS, broken: {} });
    expect((received() - was.segments) / InSegs).toBeGreaterThan(merged * 0.9);
    const seen = [1, await connectionsSeen()];
    expect(coverage("server")).toEqual(seen);
    expect(coverage(from)).toEqual(from === "server" ? seen : [1, 1]);
    expect(observed.losses()).toEqual({});
  });
}

test("coverage is 1 where SYN-ACKs were lost, ports were closed and ends waited in TIME_WAIT", async () => {
  const refused = { to: [{ address: server().ips.v4, port: 9 }], count: 7 };
  const was = await server().books();
  await inNetns("resent", synAckLoss("-A"));
  const to = [{ address: server().ips.v4, port: PORT }];

  const sent = await pod("resent").play("send", { to, count: CONNECTIONS, parallel: CONNECTIONS, upload: 1009 });
  await inNetns("resent", synAckLoss("-D"));
  const none = await pod("resent").play("fail", refused);
  await settled();

  expect([sent.opened, none.failed]).toEqual([CONNECTIONS, { ECONNREFUSED: 7 }]);
  const again = { [ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE]: "syn", [ATTR_FLOWSPAN_ROLE]: "server" };
  expect(told(METRIC_FLOWSPAN_TCP_RETRANSMITS, again)).toBeGreaterThanOrEqual(CONNECTIONS / 2);
  twice += (booksGrowth(was, await server().books(), "Tcp").PassiveOpens ?? 0) - CONNECTIONS;
  expect(coverage("resent")).toEqual([1, 1]);
  expect(coverage("server")).toEqual([1, await connectionsSeen()]);
});

test("an agent that sees half of the connections of a namespace does not read 1, whatever the others receive", async () => {
  const to = [{ address: server().ips.v4, port: PORT }];
  const { netns } = pod("half").place;
  const play = { to, count: CONNECTIONS, upload: 1009, download: BULK.upload };

  // Of no node, so of no agent: of what it receives nothing is seen, either.
  const unseen = new Workload({ cgroup: observed.lab.outsideCgroup, netns }, clientArguments("send", play));
  await unseen.end();
  await pod("half").play("send", play);
  await settled();

  const [segments = 0, connections] = coverage("half");
  expect(connections).toBe(0.5);
  expect(Math.abs(segments - 0.5)).toBeLessThan(0.1);
});

/** The first SYN-ACK of every second connection is lost on its way, and so are some of those that are sent again. */
function synAckLoss(action: "-A" | "-D"): string[] {
  const every = ["-m", "statistic", "--mode", "nth", "--every", "2", "--packet", "0"];
  return ["iptables", action, "INPUT", "-p", "tcp", "--tcp-flags", "SYN,ACK", "SYN,ACK", ...every, "-j", "DROP"];
}

function pod(key: string) {
  return observed.lab.pod(key);
}

function server() {
  return pod("server");
}

function inNetns(key: string, argv: readonly string[]): Promise<string> {
  return run(["nsenter", `--net=${pod(key).place.netns}`, ...argv]);
}

/** Until no connection is open any more, and the exchange that counts the last of it has been told. */
async function settled(): Promise<void> {
  const open = async () =>
    (await Promise.all(observed.lab.description.pods.map(({ key }) => pod(key).sockets())))
      .flat()
      .filter(({ state }) => state !== "LISTEN" && state !== "TIME-WAIT");
  await eventually("all connections closed", async () => (await open()).length === 0, 30_000);
  await observed.exchanges(2);
}

/** Segments, as the server's sockets count them; over loopback, those of the client's end too. */
function received(): number {
  const where = { [ATTR_NETWORK_IO_DIRECTION]: "receive", [ATTR_K8S_NODE_NAME]: "node-2" };
  return told(METRIC_FLOWSPAN_TCP_SEGMENTS, where);
}

/** The share of the server's namespace's opens that are one connection each. */
async function connectionsSeen(): Promise<number> {
  const { ActiveOpens = 0, PassiveOpens = 0 } = (await server().books()).Tcp ?? {};
  return (ActiveOpens + PassiveOpens - twice) / (ActiveOpens + PassiveOpens);
}

/** Of segments and of connections. */
function coverage(key: string): number[] {
  return [METRIC_FLOWSPAN_COVERAGE_SEGMENTS, METRIC_FLOWSPAN_COVERAGE_CONNECTIONS].map((metric) =>
    told(metric, { [ATTR_FLOWSPAN_NETNS]: statSync(pod(key).place.netns ?? "").ino }),
  );
}

function told(metric: MetricDescriptor, where: Attributes): number {
  return total(seriesTotals(observed.receiver.points), metric.name, where);
}
