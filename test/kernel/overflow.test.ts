/**
 * An edge table that is too small: what finds no room loses its detail and nothing else, says so, and gets
 * room again when idle edges go. And the largest table that can be asked for.
 *
 *   node-1: room for 16, read by the test · node-2: for 1,000,000, likewise · node-3: for 16, read by an agent
 *
 * On each node one pod with containers `client` and `server` talks to itself over addresses that its namespace takes for its
 * own: a pair of addresses is an edge at either end. Only node-3's probe holds the pod to its share; test/kernel/tenants.test.ts has more.
 */
import { afterAll, beforeAll, expect } from "vitest";
import type { Attributes } from "../../agent/model/attribute.ts";
import type { Role } from "../../agent/model/edge.ts";
import { type NodeAgent, startAgents } from "../lab/agents/agents.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import type { Counts, Workload } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { backwardPoints, seriesTotals, total } from "../otlp/oracle.ts";
import { Receiver } from "../otlp/receiver.ts";

const PORT = 8080;
const ROOM = 16;
const CONNECTIONS = 307;
const IDLE_NS = 300_000_000_000n;
/** No share of a tenant's own: the table itself is what gets full. */
const SHARE = 10_000;
const FROM = addresses(1, 5);
const [NEW = ""] = addresses(3, 1);
/** 5 x 61 pairs: 305 edges at each end, two of them used twice. */
const TO = addresses(2, 61);

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

const undo: (() => unknown)[] = [];
let lab: Lab;
let small: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const pods = [1, 2, 3].map((n) => ({
    key: `pod-${n}`,
    node: `node-${n}`,
    containers: ["client", "server"] as [string, string],
  }));
  lab = await startLab(describe({ nodes: 3, pods }));
  undo.push(() => lab.close());
  small = await Tally.start(lab, "node-1", ["--edges", String(ROOM)]);
  undo.push(() => small.close());
  small.client.settings({ idleNs: IDLE_NS, edgesShare: SHARE, records: false });
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("a full table takes nothing from the totals, and what lost its detail is counted", async () => {
  const server = await serve("pod-1");
  const exchanges = small.run();

  const client = await play("pod-1");
  const served = await server.until(({ closed }) => closed === CONNECTIONS);
  small.stop();
  await exchanges;
  await small.until(
    () => "all of them closed",
    () => small.sum((key) => key.role !== "listener").closed === 2 * CONNECTIONS,
  );

  expect({ client: seen("client"), server: seen("server") }).toEqual({ client: told(client), server: told(served) });
  expect(small.sum((key) => key.overflow && key.role === "client").opened).toBeGreaterThan(CONNECTIONS - ROOM);
  expect(small.sum((key) => key.overflow && key.role === "server").opened).toBeGreaterThan(CONNECTIONS - ROOM);
  expect(small.last.status.edgeCapacity).toBe(ROOM);
  expect(Object.keys(small.losses)).toEqual(["edge_table_full_detail"]);
});

test("idle edges make room for new ones, without losing what they counted", async () => {
  const before = small.sum();
  small.client.settings({ idleNs: 1n, edgesShare: SHARE, records: false });
  await small.until(
    () => `idle edges evicted: ${JSON.stringify(small.last.status)}`,
    () => small.last.status.edges === 0 || small.last.status.evicted >= ROOM - 1,
  );
  small.client.settings({ idleNs: IDLE_NS, edgesShare: SHARE, records: false });
  await small.take();

  await lab.pod("pod-1", "client").play("send", { to: [{ address: NEW, port: PORT }], count: 7 });
  await small.until(
    () => "seven more closed",
    () => small.sum(({ role }) => role === "client").closed === CONNECTIONS + 7,
  );

  const fresh = small.sum(({ role, remoteAddress }) => role === "client" && remoteAddress === NEW);
  expect({ opened: fresh.opened, closed: fresh.closed }).toEqual({ opened: 7, closed: 7 });
  expect(small.sum().opened).toBe(before.opened + 14);
});

test("a table with room for a million edges starts, and counts each edge by itself", async () => {
  const large = await Tally.start(lab, "node-2", ["--edges", "1000000"]);
  undo.push(() => large.close());
  await serve("pod-2");

  const client = await play("pod-2");
  await large.until(
    () => "all of them closed",
    () => large.sum(({ role }) => role !== "listener").closed === 2 * CONNECTIONS,
  );

  const edges = [...large.edges.values()].filter(({ key }) => key.role === "client");
  expect({
    capacity: (await large.client.hello()).edgeCapacity,
    edges: edges.length,
    bytes: large.sum(({ role }) => role === "client").bytesSent,
    losses: large.losses,
  }).toEqual({ capacity: 1_000_000, edges: FROM.length * TO.length, bytes: client.bytesSent, losses: {} });
});

test("the receiver gets exact sums, the overflow series marked, and the loss by its name", async () => {
  const receiver = await Receiver.start();
  undo.push(() => receiver.close());
  const setup = { endpoint: receiver.endpoint, intervalMs: 200, probeArguments: ["--edges", String(ROOM)] };
  const agents = await startAgents(lab, setup, ["node-3"]);
  undo.push(() => Promise.all(agents.map((each: NodeAgent) => each.stop())));
  await serve("pod-3");

  const client = await play("pod-3");
  const sums = () => seriesTotals(receiver.points);
  const closed = (where: Attributes) => total(sums(), "flowspan.tcp.connections.closed", where);
  await eventually(
    () => `all closes: ${closed({})}`,
    () => closed({}) === 2 * CONNECTIONS,
    20_000,
  );

  const transmitted = { "flowspan.role": "client", "network.io.direction": "transmit" };
  expect(total(sums(), "flowspan.tcp.io", transmitted)).toBe(client.bytesSent);
  expect(closed({ "flowspan.role": "client", "otel.metric.overflow": true })).toBeGreaterThan(CONNECTIONS - ROOM);
  expect(backwardPoints(receiver.points)).toEqual([]);
  const losses = () => sums().filter(({ metric, value }) => metric === "flowspan.losses" && value > 0);
  await eventually("a loss", () => losses().length > 0, 20_000);
  expect(losses().map(({ attributes }) => attributes)).toEqual([{ "flowspan.loss.reason": "edge_share_full_detail" }]);
});

function addresses(net: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `198.18.${net}.${i + 1}`);
}

/** @returns a server that the first exchange has seen before any client */
async function serve(pod: string): Promise<Workload> {
  const { code, stderr } = await lab
    .pod(pod, "server")
    .exec(["ip", "route", "add", "local", "198.18.0.0/15", "dev", "lo"]);
  if (code !== 0) throw new Error(stderr);
  const server = await lab.pod(pod, "server").serve({ listen: [{ port: PORT }] });
  if (pod === "pod-1") await small.take();
  return server;
}

function play(pod: string): Promise<Counts> {
  const to = TO.map((address) => ({ address, port: PORT }));
  const sizes = { upload: 1009, uploadStep: 1, download: 503, downloadStep: 2 };
  return lab.pod(pod, "client").play("send", { to, from: FROM, count: CONNECTIONS, ...sizes });
}

/** What the probe counted, in the workload's words. */
function seen(role: Role) {
  const { opened, closed, bytesSent, bytesReceived } = small.sum((key) => key.role === role);
  return { opened, closed, bytesSent, bytesReceived };
}

function told({ opened, closed, bytesSent, bytesReceived }: Counts) {
  return { opened, closed, bytesSent, bytesReceived };
}
