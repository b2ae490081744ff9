/**
 * A rule that drops part of a pod's traffic, as a Collector hears of it: the pod, its peer, the reason and the number that iptables has,
 * also when the agent is killed on the way.
 *
 *   client ── node-1: a rule of FORWARD ── server
 */
import { afterAll, beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_DROP_REASON,
  ATTR_K8S_POD_NAME,
  METRIC_FLOWSPAN_NEIGHBOUR_TABLE_LIMIT,
  METRIC_FLOWSPAN_NODE_PACKET_DROPS,
  METRIC_FLOWSPAN_PACKET_DROPS,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { seriesTotals, total } from "../../otlp/oracle.ts";
import { ObservedLab } from "../agents/observed.ts";
import { program, run } from "../programs/run.ts";
import { describe } from "../world/describe.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const PORT = 9000;
const RULE = ["FORWARD", "-p", "udp", "--dport", String(PORT), "-j", "DROP"];

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
  // Packets without a socket are counted in namespaces that a counted thread lives in.
  for (const place of [observed.lab.host("node-1", "sleep.service"), observed.lab.pod("client")])
    place.spawn(["sleep", "infinity"]);
  await observed.watch();
  await observed.exchanges(2);
});

afterAll(() => observed?.close());

test("what a rule drops is told of the pod that sent it, by reason and peer, as often as the rule did", async () => {
  await inNode(["iptables", "-I", ...RULE]);

  await send(23);
  await observed.until("the first packets", () => dropped() === 23);
  await observed.agent("node-1").agent.stop("SIGKILL");
  await send(29);
  await observed.agent("node-1").startAgent();
  await observed.until("those from while no agent was there", () => dropped() === 52);
  await send(31);
  await observed.settled("the last packets", () => dropped() === 83);

  expect(await ruleCount()).toBe(83);
  const where = { ...NETFILTER, [ATTR_K8S_POD_NAME]: observed.describedPod("client").name };
  const [point] = observed.points(where).filter(({ metric }) => metric === METRIC_FLOWSPAN_PACKET_DROPS.name);
  expect(point?.attributes).toEqual({
    "flowspan.drop.reason": "NETFILTER_DROP",
    "network.io.direction": "transmit",
    "network.type": "ipv4",
    "network.transport": "udp",
    "network.interface.name": expect.any(String),
    "server.port": PORT,
    "flowspan.role": "client",
    "flowspan.peer.kind": "pod",
    "service.peer.name": "server",
    "service.peer.namespace": observed.describedPod("server").namespace,
  });
  expect(told(METRIC_FLOWSPAN_NODE_PACKET_DROPS.name, NETFILTER)).toBe(83);
  expect(observed.points().some(({ metric }) => metric === METRIC_FLOWSPAN_NEIGHBOUR_TABLE_LIMIT.name)).toBe(true);
  expect(observed.losses()).toEqual({});
});

const NETFILTER = { [ATTR_FLOWSPAN_DROP_REASON]: "NETFILTER_DROP" };

function dropped(): number {
  return told(METRIC_FLOWSPAN_PACKET_DROPS.name, NETFILTER);
}

function told(metric: string, where: Parameters<typeof total>[2]): number {
  return total(seriesTotals(observed.receiver.points), metric, where);
}

function send(count: number): Promise<unknown> {
  const { client, server } = { client: observed.lab.pod("client"), server: observed.lab.pod("server") };
  return client.exec([program("datagrams"), "send", server.ips.v4, String(PORT), String(count)]);
}

async function ruleCount(): Promise<number> {
  const listed = await inNode(["iptables", "-L", "FORWARD", "-v", "-x", "-n"]);
  const line = listed.split("\n").find((text) => text.includes(`dpt:${PORT}`)) ?? "";
  return Number(line.trim().split(/\s+/)[0]);
}

function inNode(argv: readonly string[]): Promise<string> {
  const { netns } = observed.lab.host("node-1", "sleep.service").place;
  return run(["nsenter", `--net=${netns}`, ...argv]);
}
