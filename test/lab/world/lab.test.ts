/**
 * The lab itself: that both ends of a connection count the same, that faults do what they say, and that
 * nothing stays. No BPF takes part.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import { eventually, LabProcess } from "../programs/process.ts";
import { ROOT } from "../programs/run.ts";
import { NOTHING, type Workload } from "../programs/workload.ts";
import { findCgroupMount } from "./cgroups.ts";
import { describe, NOWHERE, twoPods } from "./describe.ts";
import { booksGrowth } from "./kernel-books.ts";
import { type Lab, startLab } from "./lab.ts";
import { sweep } from "./leftovers.ts";

// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
/** 1000 + 1001 + ... + 1022. */
const UPLOADED = 23_253;
/** 500 + 502 + ... + 544. */
const DOWNLOADED = 12_006;

const NEEDS = ["root", "cgroup2", "iptables"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let server: Workload;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(
    describe({
      pods: [
        { key: "client" },
        { key: "server", node: "node-2" },
        { key: "neighbour" },
        { key: "agent", node: "node-2", kind: "DaemonSet", hostNetwork: true },
      ],
      services: [{ name: "server", port: 80, targetPort: 8080, nodePort: 30080 }],
    }),
  );
  server = await lab.pod("server").serve({
    listen: [{ port: 8080 }, { port: 81, mode: "stuck", backlog: 2 }, { port: 82, mode: "reset", resetAfter: 100 }],
  });
});

afterAll(() => lab?.close());

const TARGETS = [
  ["an IPv4 pod address", "client", () => ({ address: lab.pod("server").ips.v4, port: 8080 })],
  ["an IPv6 pod address", "client", () => ({ address: lab.pod("server").ips.v6, port: 8080 })],
  ["a Service over IPv4", "client", () => ({ address: lab.service("server").clusterIps.v4, port: 80 })],
  ["a Service over IPv6", "client", () => ({ address: lab.service("server").clusterIps.v6, port: 80 })],
  ["a NodePort", "client", () => ({ address: lab.host("node-2", "kubelet").ips.v4, port: 30080 })],
  ["a Service from its own backend", "server", () => ({ address: lab.service("server").clusterIps.v4, port: 80 })],
  ["a Service from a hostNetwork pod", "agent", () => ({ address: lab.service("server").clusterIps.v4, port: 80 })],
] as const;

for (const [name, from, to] of TARGETS) {
  test(`both ends of ${name} count each connection and byte once`, async () => {
    const before = await server.counts();

    const client = await lab.pod(from).play("send", {
      to: [to()],
      count: CONNECTIONS,
      upload: 1000,
      uploadStep: 1,
      download: 500,
      downloadStep: 2,
    });

    expect(client).toEqual({
      ...NOTHING,
      opened: CONNECTIONS,
      closed: CONNECTIONS,
      bytesSent: UPLOADED,
      bytesReceived: DOWNLOADED,
    });
    const after = await server.until((counts) => counts.closed === before.closed + CONNECTIONS);
    expect(after).toEqual({
      ...before,
      opened: before.opened + CONNECTIONS,
      closed: before.closed + CONNECTIONS,
      bytesSent: before.bytesSent + DOWNLOADED,
      bytesReceived: before.bytesReceived + UPLOADED,
    });
  });
}

test("a process is in its cgroup before it runs, and its namespace is the pod's", async () => {
  const self = await lab.pod("client").exec(["cat", "/proc/self/cgroup", "/proc/net/route"]);

  expect(self.stdout).toContain(`::/${lab.pod("client").place.cgroup.slice(findCgroupMount().length + 1)}\n`);
  expect(self.stdout).toContain("eth0");
});

const NOBODY = [
  [
    "ECONNREFUSED",
    () => [
      { address: lab.pod("server").ips.v4, port: 9 },
      { address: lab.pod("server").ips.v6, port: 9 },
    ],
  ],
  ["EHOSTUNREACH", () => Object.values(NOWHERE.hostUnreachable).map((address) => ({ address, port: 9 }))],
  ["ENETUNREACH", () => Object.values(NOWHERE.netUnreachable).map((address) => ({ address, port: 9 }))],
  ["ETIMEDOUT", () => Object.values(NOWHERE.blackhole).map((address) => ({ address, port: 9 }))],
] as const;

for (const [error, to] of NOBODY) {
  test(`connections to nobody fail with ${error}`, async () => {
    const counts = await lab.pod("client").play("fail", { to: to(), count: 7 });

    expect(counts).toEqual({ ...NOTHING, failed: { [error]: 7 } });
  });
}

test("a connection that is given up before an answer is cancelled, not failed", async () => {
  const to = [{ address: NOWHERE.blackhole.v4, port: 9 }];

  const counts = await lab.pod("client").play("fail", { to, count: 7, cancelMs: 50 });

  expect(counts).toEqual({ ...NOTHING, cancelled: 7 });
});

test("a server that resets is seen as reset by the client", async () => {
  const to = [{ address: lab.pod("server").ips.v4, port: 82 }];

  const counts = await lab.pod("client").play("send", { to, count: 7, upload: 200, download: 1 });

  expect(counts).toEqual({ ...NOTHING, opened: 7, broken: { ECONNRESET: 7 }, bytesSent: 1400 });
});

test("a server that never accepts fills its accept queue", async () => {
  const clients = lab.pod("client").start("hold", { to: [{ address: lab.pod("server").ips.v4, port: 81 }], count: 7 });

  const listener = await eventually("a full accept queue", async () => {
    const sockets = await lab.pod("server").sockets();
    return sockets.find(({ local, receiveQueue, sendQueue }) => local === "*:81" && receiveQueue > sendQueue);
  });

  expect([listener.receiveQueue, listener.sendQueue]).toEqual([3, 2]);
  await clients.process.stop("SIGKILL");
});

test("a network policy's answer is what the client gets", async () => {
  const to = [{ address: lab.pod("server").ips.v4, port: 8080 }];
  const policy = await lab.drop({ from: "client", to: "server", port: 8080, answer: "reset" });

  const refused = await lab.pod("client").play("fail", { to, count: 3 });
  await policy.remove();
  const allowed = await lab.pod("client").play("send", { to, count: 3 });

  expect([refused.failed, allowed.opened]).toEqual([{ ECONNREFUSED: 3 }, 3]);
});

test("loss on a link makes the sender's kernel send again, and takes no byte", async () => {
  const before = await lab.pod("client").books();
  const loss = await lab.loss("node-1", "node-2", 0.05);

  const to = [{ address: lab.pod("server").ips.v4, port: 8080 }];
  const counts = await lab.pod("client").play("send", { to, count: 23, parallel: 23, upload: 500_009 });
  await loss.remove();

  const growth = booksGrowth(before, await lab.pod("client").books(), "Tcp");
  expect(counts).toEqual({ ...NOTHING, opened: 23, closed: 23, bytesSent: 23 * 500_009 });
  expect(growth.RetransSegs).toBeGreaterThan(0);
});

for (const family of ["v4", "v6"] as const) {
  test(`a link's delay is what TCP measures over ${family}, and ends with the relay`, async () => {
    const delay = await lab.delay("node-1", "node-2", 20);
    const to = [{ address: lab.pod("server").ips[family], port: 8080 }];
    const slow = await rttMs(to);
    await delay.remove();

    const fast = await rttMs(to);

    expect(slow).toBeGreaterThanOrEqual(40);
    expect(slow).toBeLessThan(60);
    expect(fast).toBeLessThan(20);
  });
}

/** The smallest of several handshakes': a busy machine makes some longer, the relay makes none shorter. */
async function rttMs(to: readonly { address: string; port: number }[]): Promise<number> {
  const held = lab.pod("client").start("hold", { to, count: 11, paceMs: 10, workers: 1 });
  await held.ready();
  const sockets = await lab.pod("client").sockets();
  await held.close();
  return Math.min(...sockets.filter(({ state }) => state === "ESTAB").map(({ rttMs }) => rttMs ?? Infinity));
}

test("held connections move data on command, at both ends", async () => {
  const before = await server.counts();
  const held = lab
    .pod("neighbour")
    .start("hold", { to: [{ address: lab.pod("server").ips.v4, port: 8080 }], count: 101 });
  await held.ready();

  await held.send(97, 31);
  const counts = await held.close();

  expect(counts).toEqual({ ...NOTHING, opened: 101, closed: 101, bytesSent: 9797, bytesReceived: 3131 });
  const after = await server.until(({ closed }) => closed === before.closed + 101);
  expect([after.bytesReceived - before.bytesReceived, after.bytesSent - before.bytesSent]).toEqual([9797, 3131]);
});

test("ten thousand short connections from all cores are counted exactly at both ends", async () => {
  const before = await server.counts();

  const counts = await lab.pod("client").play("churn", {
    to: [{ address: lab.pod("server").ips.v4, port: 8080 }],
    count: 10_007,
    upload: 101,
    download: 103,
  });

  expect(counts).toMatchObject({ opened: 10_007, closed: 10_007, failed: {}, broken: {}, bytesSent: 1_010_707 });
  const after = await server.until(({ closed }) => closed === before.closed + 10_007);
  expect(after.bytesReceived - before.bytesReceived).toBe(1_010_707);
});

test("close removes processes, cgroups, namespaces and state", async () => {
  const other = await startLab(
    twoPods({ cgroupDriver: "cgroupfs", links: [{ between: ["node-1", "node-2"], delayMs: 1 }] }),
  );
  const running = await other.pod("server").serve({ listen: [{ port: 8080 }] });
  const during = traces(other.id);

  await other.close();
  await running.process.ended;

  expect([during, traces(other.id)]).toEqual([
    { cgroups: 1, namespaces: 4, state: 2, isRunning: true },
    { cgroups: 0, namespaces: 0, state: 0, isRunning: false },
  ]);
  function traces(id: string) {
    return { ...tracesOf(id), isRunning: existsSync(`/proc/${running.process.pid}`) };
  }
});

test("a neighbour table that was made small is restored with the lab", async () => {
  const file = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
  const before = readFileSync(file, "utf8");
  const other = await startLab(describe({ nodes: 1, pods: [] }));

  // Not so small that it would disturb others: the table belongs to the whole machine.
  other.limitNeighbourTable("v4", 997);
  const during = readFileSync(file, "utf8");
  await other.close();

  expect([during, readFileSync(file, "utf8")]).toEqual(["997\n", before]);
});

function tracesOf(id: string): { cgroups: number; namespaces: number; state: number } {
  const named = (directory: string) =>
    existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith(id)).length : 0;
  return {
    cgroups: named(findCgroupMount()),
    namespaces: named("/var/run/netns"),
    state: named("/run"),
  };
}

/** A lab of another process, which says the lab's id, starts a server and then waits. */
const MAKER = `
  import { twoPods } from "./test/lab/world/describe.ts";
  import { startLab } from "./test/lab/world/lab.ts";
  const lab = await startLab(twoPods());
  await lab.pod("server").serve({ listen: [{ port: 8080 }] });
  console.log(lab.id);
  setInterval(() => {}, 1000);
`;

async function startMaker(): Promise<{ maker: LabProcess; id: string }> {
  const argv = [process.execPath, "--input-type=module-typescript", "--eval", MAKER];
  const maker = new LabProcess({}, ["env", `--chdir=${ROOT}`, ...argv]);
  const id = await eventually(
    () => `a lab of ${maker.describe()}`,
    () => maker.stdout[0],
    20_000,
  );
  return { maker, id };
}

test("a lab whose process is killed is swept, and not before", async () => {
  const { maker, id } = await startMaker();
  sweep();
  const whileAlive = tracesOf(id);

  await maker.stop("SIGKILL");
  sweep();

  expect([whileAlive, tracesOf(id)]).toEqual([
    { cgroups: 1, namespaces: 4, state: 2 },
    { cgroups: 0, namespaces: 0, state: 0 },
  ]);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`a lab whose process gets ${signal} removes itself`, async () => {
    const { maker, id } = await startMaker();

    await maker.stop(signal);

    expect([tracesOf(id), (await maker.ended).signal]).toEqual([{ cgroups: 0, namespaces: 0, state: 0 }, signal]);
  });
}

test("a pid that is used again does not keep a dead lab's remains", () => {
  const file = "/run/flowspan-lab-reused.json";
  writeFileSync(file, JSON.stringify({ pid: process.pid, started: "1" }));

  sweep();

  expect(existsSync(file)).toBe(false);
});

test("the machine's own namespace has no device of a lab", () => {
  const devices = readFileSync("/proc/self/net/dev", "utf8");

  expect(devices).not.toMatch(/to-\d|pod-\d/);
});
