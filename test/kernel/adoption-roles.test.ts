/**
 * Connections that are older than the probe: which end opened each, from what its own socket shows, whatever became of
 * its listener. A wrong role would make a series for each ephemeral port.
 *
 *   one pod: container `client` ── lo ── container `server`; then the probe starts
 */
import { statSync } from "node:fs";
import { afterEach, beforeEach, expect } from "vitest";
import type { Role } from "../../agent/model/edge.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { program } from "../lab/programs/run.ts";
import { type ClientOptions, type Listener, serveArguments, Workload } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { keepsInSockets } from "../machine/socket-storage.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
const PORT = 8080;
/** In this machine's own namespace, where other programs may have the usual ones. */
const SHARED_PORT = 17_977;
const UPLOAD = 1013;
const DOWNLOAD = 503;

let lab: Lab;
let tally: Tally | undefined;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
});

afterEach(async () => {
  await tally?.close();
  tally = undefined;
  await lab?.close();
});

interface Case {
  readonly what: string;
  readonly listen?: Partial<Listener>;
  readonly client?: Partial<ClientOptions>;
}

const CASES: Case[] = [
  { what: "a plain listener" },
  { what: "an MPTCP listener, as Go makes them, with plain clients", listen: { mptcp: true } },
  { what: "an MPTCP listener with MPTCP clients", listen: { mptcp: true }, client: { mptcp: 1 } },
  { what: "a plain listener with MPTCP clients", client: { mptcp: 1 } },
  { what: "clients that were bound to an address", client: { from: ["127.0.0.9"] } },
  {
    what: "a client on the port number that a server listens on, at another address",
    client: { from: ["127.0.0.9,8080"], count: 1 },
  },
  {
    what: "listen(fd, 0), whose sockets show nothing, but whose listener does",
    listen: { backlog: 0 },
    client: { count: 1 },
  },
  {
    what: "listen(fd, 0) on every address of both families",
    listen: { backlog: 0, address: "::" },
    client: { count: 1 },
  },
  {
    what: "listen(fd, 0) on an address of IPv6",
    listen: { backlog: 0, address: "::1" },
    client: { count: 1, to: [{ address: "::1", port: PORT }] },
  },
  {
    what: "listen(fd, 0) on every address of IPv6",
    listen: { backlog: 0, address: "::", v6Only: true },
    client: { count: 1, to: [{ address: "::1", port: PORT }] },
  },
];

for (const { what, listen, client } of CASES)
  test(`older connections of ${what} keep their roles, their port and every byte`, async () => {
    const count = client?.count ?? CONNECTIONS;
    await lab.pod("both", "server").serve({ listen: [{ port: PORT, address: "127.0.0.1", ...listen }] });
    const held = await hold({ count, ...client });
    tally = await Tally.start(lab, "node-1");
    await tally.take();

    await held.send(UPLOAD, DOWNLOAD);
    await held.send(UPLOAD, DOWNLOAD);
    await held.close();
    await tally.until(
      () => `all of them closed: ${JSON.stringify(ports())}`,
      () => closed() === 2 * count,
    );

    // A queue without room is no news.
    const listener = listen?.backlog === 0 ? [] : [PORT];
    expect(ports()).toEqual({ client: [PORT], server: [PORT], listener });
    expect({ client: bytes("client"), server: bytes("server") }).toEqual({
      client: { sent: 2 * count * UPLOAD, received: 2 * count * DOWNLOAD },
      server: { sent: 2 * count * DOWNLOAD, received: 2 * count * UPLOAD },
    });
    expect(tally.last.status.adopted).toBe(2 * count);
    expect(tally.losses).toEqual({});
  });

const GONE = [
  { what: "keep their role and port", backlog: 8, serverPort: PORT, losses: {} },
  // Nothing shows who opened it: one edge without port, and the bytes are right.
  {
    what: "of listen(fd, 0) lose both, with a count",
    backlog: 0,
    serverPort: 0,
    losses: { role_unknown_detail: CONNECTIONS },
  },
];

for (const { what, backlog, serverPort, losses } of GONE)
  test(`a server's ends ${what} when the listener is gone`, async () => {
    const argv = [program("strays"), "gone", String(PORT), String(CONNECTIONS), String(backlog)];
    const strays = lab.pod("both", "server").spawn(argv);
    await eventually("both ends", () => strays.stdout.includes("ready"));
    tally = await Tally.start(lab, "node-1");

    strays.command("go");
    await eventually("bytes", () => strays.stdout.includes("done"));
    await strays.stop();
    await tally.until(
      () => `all of them closed: ${JSON.stringify(ports())}`,
      () => closed() === 2 * CONNECTIONS,
    );

    expect(ports()).toEqual({ client: [PORT], server: [serverPort], listener: [] });
    expect(bytes("server")).toEqual({ sent: 0, received: CONNECTIONS * 101 });
    expect(tally.losses).toEqual(losses);
  });

test("an MPTCP listener that is older than the probe has its queue's limit, and its close is seen", async () => {
  const listen = [{ port: PORT, address: "127.0.0.1", backlog: 129, mptcp: true }];
  const server = await lab.pod("both", "server").serve({ listen });
  tally = await Tally.start(lab, "node-1");
  await tally.take();
  const limits = [...tally.edges.values()].map(({ key, limit }) => [key.role, key.serverPort, limit]);

  await server.close();
  await tally.until(
    () => "no socket is left",
    () => tally?.last.end.sockets === 0,
  );

  expect(limits).toEqual([["listener", PORT, 129]]);
  expect(tally.losses).toEqual({});
});

test("of an MPTCP connection over two paths the first subflow counts, the second is counted as missed", async () => {
  const { exec } = lab.pod("both", "client");
  await exec(["ip", "mptcp", "limits", "set", "subflows", "1"]);
  await exec(["ip", "mptcp", "endpoint", "add", "127.0.0.9", "dev", "lo", "subflow"]);
  await lab.pod("both", "server").serve({ listen: [{ port: PORT, address: "127.0.0.1", mptcp: true }] });
  const held = await hold({ count: 1, mptcp: 1 });
  // A path is added once the first one has carried something both ways.
  await held.send(UPLOAD, DOWNLOAD);
  await eventually("a second subflow", async () => {
    const { stdout } = await exec(["ss", "-Htn", "state", "established", "sport", "=", `:${PORT}`]);
    return stdout.trim().split("\n").length === 2;
  });

  tally = await Tally.start(lab, "node-1");
  await tally.take();

  expect(tally.last.status.adopted).toBe(2);
  expect(tally.losses).toEqual({ not_adopted: 2 });
});

test("MPTCP sockets whose subflows another program marks are counted as missed", async () => {
  const other = await Tally.start(lab, "node-1", ["--pins", `/sys/fs/bpf/${lab.id}/other`]);
  await lab.pod("both", "server").serve({ listen: [{ port: PORT, address: "127.0.0.1", mptcp: true }] });
  await hold({ count: CONNECTIONS, mptcp: 1 });
  await other.close();

  tally = await Tally.start(lab, "node-1");
  await tally.take();

  // By address, storage of two programs cannot be confused.
  const inSockets = keepsInSockets();
  const known = inSockets ? [] : [PORT];
  expect(ports()).toEqual({ client: known, server: known, listener: known });
  expect(tally.losses).toEqual(inSockets ? { not_adopted: 1 + 2 * CONNECTIONS } : {});
});

test("sockets on their way to another process are counted as missed, and once more when they close", async () => {
  await lab.pod("both", "server").serve({ listen: [{ port: PORT, address: "127.0.0.1", mode: "sink" }] });
  const argv = [program("strays"), "flight", "127.0.0.1", String(PORT), String(CONNECTIONS)];
  const strays = lab.pod("both", "client").spawn(argv);
  await eventually("sockets in flight", () => strays.stdout.includes("ready"));
  tally = await Tally.start(lab, "node-1");
  await tally.take();
  const before = tally.losses;

  strays.command("go");
  await eventually("bytes", () => strays.stdout.includes("done"));
  await strays.stop();
  await tally.until(
    () => `all of them closed: ${JSON.stringify(tally?.losses)}`,
    () => closed() === CONNECTIONS && tally?.losses.closed_untracked === CONNECTIONS,
  );

  expect(before).toEqual({ not_adopted: CONNECTIONS });
  expect(tally.losses).toEqual({ not_adopted: CONNECTIONS, closed_untracked: CONNECTIONS });
  expect(ports()).toEqual({ client: [], server: [PORT], listener: [PORT] });
  expect(bytes("server")).toEqual({ sent: 0, received: CONNECTIONS * 101 });
});

test("sockets out of scope that share the probe's own namespace are nobody's loss", async () => {
  const inScope = new LabProcess({ cgroup: lab.pod("both", "client").place.cgroup }, ["sleep", "60"]);
  const listen = [{ port: SHARED_PORT, address: "127.0.0.1" }];
  const server = new Workload({ cgroup: lab.outsideCgroup }, serveArguments({ listen }));
  await server.ready();
  const argv = [program("strays"), "flight", "127.0.0.1", String(SHARED_PORT), String(CONNECTIONS)];
  const strays = new LabProcess({ cgroup: lab.outsideCgroup }, argv);
  await eventually("sockets in flight", () => strays.stdout.includes("ready"));

  tally = await Tally.start(lab, "node-1");
  await tally.take();
  await Promise.all([strays.stop(), server.close(), inScope.stop("SIGKILL")]);

  expect(tally.last.namespaces.map(({ netns }) => netns)).toContain(statSync("/proc/self/ns/net").ino);
  expect(tally.losses).toEqual({});
});

test("a second probe does not count what the first one's hooks know as missed", async () => {
  const first = await Tally.start(lab, "node-1");
  await lab.pod("both", "server").serve({ listen: [{ port: PORT, address: "127.0.0.1", mode: "sink" }] });
  const argv = [program("strays"), "flight", "127.0.0.1", String(PORT), String(CONNECTIONS)];
  const strays = lab.pod("both", "client").spawn(argv);
  await eventually("sockets in flight", () => strays.stdout.includes("ready"));

  await first.close();
  tally = await Tally.start(lab, "node-1");
  strays.command("go");
  await eventually("bytes", () => strays.stdout.includes("done"));
  await strays.stop();
  await tally.until(
    () => "all of them closed",
    () => closed() === 2 * CONNECTIONS,
  );

  expect(bytes("client")).toEqual({ sent: CONNECTIONS * 101, received: 0 });
  expect(tally.losses).toEqual({});
});

async function hold(options: Partial<ClientOptions>): Promise<Workload> {
  const held = lab.pod("both", "client").start("hold", { to: [{ address: "127.0.0.1", port: PORT }], ...options });
  const { opened } = await held.ready();
  expect(opened).toBe(options.count);
  return held;
}

/** Ports of the edges of each role that have counted anything, or are listened on. */
function ports(): Record<Role, number[]> {
  const of = (role: Role) => [...(tally?.edges.values() ?? [])].filter(({ key }) => key.role === role);
  const portsOf = (role: Role) => [...new Set(of(role).map(({ key }) => key.serverPort))].sort((a, b) => a - b);
  return { client: portsOf("client"), server: portsOf("server"), listener: portsOf("listener") };
}

function closed(): number {
  return tally?.sum(({ role }) => role !== "listener").closed ?? 0;
}

function bytes(wanted: Role) {
  const sum = tally?.sum(({ role }) => role === wanted);
  return { sent: sum?.bytesSent, received: sum?.bytesReceived };
}
