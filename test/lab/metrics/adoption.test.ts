/**
 * Connections that are older than the probe: counted from adoption on, closed but never opened. And connections
 * that last: their bytes are told while they are open.
 */
import { afterEach, beforeEach, expect } from "vitest";
import { METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED } from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { type EndSum, ObservedLab } from "../agents/observed.ts";
import type { Listener, Workload } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";

// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
/** Bytes of one round on one connection. */
const UPLOAD = 1013;
const DOWNLOAD = 70_001;
/** How many of one accept queue are adopted: bpf/tcp/adopt.h. */
const QUEUED_MAX = 64;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let observed: ObservedLab;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(describe({ pods: [{ key: "client" }, { key: "server", node: "node-2" }] }));
});

afterEach(() => observed?.close());

for (const family of ["v4", "v6"] as const) {
  test(`connections over ${family} from before the probe count from its start on, and never as opened`, async () => {
    await serve({ port: 8080 });
    const held = await connect(family);
    await held.send(200_003, 100_003);

    await observed.watch();
    await bothEndsTell({ open: CONNECTIONS });
    await held.send(UPLOAD, DOWNLOAD);
    await bothEndsTell({ open: CONNECTIONS, ...moved(1) });
    await held.send(UPLOAD, DOWNLOAD);
    await held.close();

    await bothEndsTell({ closed: CONNECTIONS, ...moved(2) });
    expect(adopted()).toEqual({ "node-1": CONNECTIONS, "node-2": CONNECTIONS });
    expect(observed.losses()).toEqual({});
  });
}

test("connections that last move while they are open, not only at their end", async () => {
  await observed.watch();
  await serve({ port: 8080 });
  const held = await connect("v4");
  const opened = { opened: CONNECTIONS, handshakes: CONNECTIONS };

  for (const round of [1, 2, 3]) {
    await held.send(UPLOAD, DOWNLOAD);
    await bothEndsTell({ ...opened, open: CONNECTIONS, ...moved(round) });
  }
  await held.close();

  await bothEndsTell({ ...opened, closed: CONNECTIONS, durations: CONNECTIONS, ...moved(3) });
  expect(adopted()).toEqual({ "node-1": 0, "node-2": 0 });
  expect(observed.losses()).toEqual({});
});

test("a server's end that was not accepted yet is adopted all the same", async () => {
  const stuck = await serve({ port: 8080, mode: "stuck" });
  const held = await connect("v4");

  await observed.watch();
  await observed.until("both ends are open", () => {
    const { client, server } = observed.ends();
    return client.open === CONNECTIONS && server.open === CONNECTIONS;
  });
  // Its end resets what was not accepted.
  await stuck.process.stop();
  await held.process.stop();

  await observed.settled("both ends are closed", () => observed.ends().server.closed === CONNECTIONS);
  expect(adopted()).toEqual({ "node-1": CONNECTIONS, "node-2": CONNECTIONS });
  expect(observed.losses()).toEqual({});
});

test("of an accept queue that is longer than a look, the rest is a named loss when it closes", async () => {
  const stuck = await serve({ port: 8080, mode: "stuck" });
  const held = await connect("v4", QUEUED_MAX + CONNECTIONS);

  await observed.watch();
  await observed.until("the clients are open", () => observed.ends().client.open === QUEUED_MAX + CONNECTIONS);
  await stuck.process.stop();
  await held.process.stop();

  await observed.exchanges(1);
  await observed.until("the loss is told", () => observed.losses().closed_untracked === CONNECTIONS);
  expect(adopted()).toEqual({ "node-1": QUEUED_MAX + CONNECTIONS, "node-2": QUEUED_MAX });
});

function serve(listener: Listener): Promise<Workload> {
  return observed.lab.pod("server").serve({ listen: [listener] });
}

/** Connections that the client's pod holds open. */
async function connect(family: "v4" | "v6", count = CONNECTIONS): Promise<Workload> {
  const to = [{ address: observed.lab.pod("server").ips[family], port: 8080 }];
  const held = observed.lab.pod("client").start("hold", { to, count });
  await held.ready();
  return held;
}

/** Waits for these sums at the client's end, and their mirror image at the server's; what is left out is 0. */
async function bothEndsTell(expected: Partial<EndSum>): Promise<void> {
  const client = { ...NOTHING, ...expected };
  const server = { ...client, bytesSent: client.bytesReceived, bytesReceived: client.bytesSent };
  const isLike = (told: EndSum, wanted: EndSum) =>
    told.open === wanted.open && told.closed >= wanted.closed && told.bytesReceived >= wanted.bytesReceived;
  await observed.settled(JSON.stringify(expected), () => {
    const ends = observed.ends();
    return isLike(ends.client, client) && isLike(ends.server, server);
  });
  expect(observed.ends()).toEqual({ client, server });
}

function moved(rounds: number): Pick<EndSum, "bytesSent" | "bytesReceived"> {
  return { bytesSent: rounds * CONNECTIONS * UPLOAD, bytesReceived: rounds * CONNECTIONS * DOWNLOAD };
}

/** Sockets that each node's probe took over. */
function adopted(): Record<string, number> {
  const points = observed.points().filter(({ metric }) => metric === METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED.name);
  return Object.fromEntries(points.map(({ resource, value }) => [resource["k8s.node.name"], value]));
}

const NOTHING: EndSum = {
  opened: 0,
  failed: 0,
  closed: 0,
  open: 0,
  bytesSent: 0,
  bytesReceived: 0,
  handshakes: 0,
  durations: 0,
};
