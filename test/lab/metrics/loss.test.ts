/**
 * Trouble on the network against a second source: retransmits against the namespaces' own RetransSegs, RTT
 * against the link's own, failures and resets against the workload's count, a full accept queue against ListenDrops.
 *
 *   client on node-1 ── link: loss, delay ── server on node-2, a probe on each node
 */
import { afterAll, beforeAll, expect } from "vitest";
import { EDGE_COUNTERS, HISTOGRAM_SCALE, HistogramSlot, RTT_SLOTS } from "../../../agent/generated/layout.ts";
import { missing, needs } from "../../machine/needs.ts";
import { type Counters, Tally } from "../agents/tally.ts";
import { eventually } from "../programs/process.ts";
import type { Workload } from "../programs/workload.ts";
import { NOWHERE, twoPods } from "../world/describe.ts";
import { booksGrowth, type KernelBooks } from "../world/kernel-books.ts";
import { type Lab, startLab } from "../world/lab.ts";

const PORT = 8080;
const RESETS = 8081;
const STUCK = 8082;
/**
 * Routers here are some way off: an ICMP answer that comes while connect() still runs is only a soft error, and
 * the SYN is sent again (tcp_v4_err()).
 */
const ICMP_DELAY_MS = 50;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const undo: (() => unknown)[] = [];
let lab: Lab;
/** What the probes of both nodes have counted. */
let near: Tally;
let far: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(twoPods());
  undo.push(() => lab.close());
  near = await Tally.start(lab, "node-1");
  undo.push(() => near.close());
  far = await Tally.start(lab, "node-2");
  undo.push(() => far.close());
  await lab.pod("server").serve({
    listen: [{ port: PORT }, { port: RESETS, mode: "reset", resetAfter: 100 }],
  });
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("on a link that loses packets each namespace's retransmits are counted exactly, and their types add up", async () => {
  const before = { client: await lab.pod("client").books(), server: await lab.pod("server").books() };
  const loss = await lab.loss("node-1", "node-2", 0.03);
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];

  const sizes = { upload: 300_007, download: 200_003 };
  const client = await lab.pod("client").play("send", { to, count: 101, parallel: 23, ...sizes });
  await loss.remove();
  await allClosed(101);

  const books = {
    client: retransmitBooks(before.client, await lab.pod("client").books()),
    server: retransmitBooks(before.server, await lab.pod("server").books()),
  };
  expect(client).toMatchObject({ opened: 101, closed: 101, broken: {}, bytesSent: 101 * 300_007 });
  expect({ client: retransmits(near.sum()), server: retransmits(far.sum()) }).toEqual(books);
  expect(Math.min(books.client.all, books.server.all)).toBeGreaterThan(23);
  expect({ client: near.losses, server: far.losses }).toEqual({ client: {}, server: {} });
});

test("the RTT of a slow link is the link's, and where the link becomes slower the next value says so", async () => {
  const delay = await lab.delay("node-1", "node-2", 17);
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
  const held = lab.pod("client").start("hold", { to, count: 1 });
  await held.ready();

  const rounds: { readonly bucket: number; readonly smoothedUs: number }[] = [];
  for (let round = 0; round < 11; round++) rounds.push(await timedRound(held));
  delay.set(40);
  await timedRound(held); // the relay is told while it is under way
  const slower = await timedRound(held);
  await held.close();
  await delay.remove();

  const upperUs = (bucket: number) => 2 ** ((bucket + 1) / 2 ** HISTOGRAM_SCALE);
  expect(rounds.filter(({ bucket }) => upperUs(bucket) < 34_000)).toEqual([]);
  // On a busy machine the relay adds some milliseconds.
  expect(upperUs(middle(rounds.map(({ bucket }) => bucket)) - 1)).toBeLessThan(45_000);
  // The smoothed time has not got far by then.
  expect(upperUs(slower.bucket)).toBeGreaterThan(80_000);
  expect(slower.smoothedUs).toBeLessThan(70_000);
});

/** Plays a round on the one connection held. @returns the bucket of its RTT, and what `ss` has as smoothed */
async function timedRound(held: Workload): Promise<{ readonly bucket: number; readonly smoothedUs: number }> {
  await held.send(1009, 503);
  const before = near.slots();
  await near.take();
  const bucket = grownRttBucket(before, near.slots());
  const sockets = await lab.pod("client").sockets();
  return { bucket, smoothedUs: 1000 * (sockets.find(({ state }) => state === "ESTAB")?.rttMs ?? 0) };
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const NOBODY = [
  ["failedRefused", "ECONNREFUSED", 7, () => Object.values(lab.pod("server").ips)],
  ["failedTimedOut", "ETIMEDOUT", 17, () => Object.values(NOWHERE.blackhole)],
  // Addresses of the far node's pods that no pod has: the far node has no route. A kernel sends one source five
  // such answers at once, then one a second (ip_error()).
  ["failedNetUnreachable", "ENETUNREACH", 5, () => ["10.244.2.99", "fd00:10:244:2::99"]],
] as const;

for (const [counter, error, count, addresses] of NOBODY) {
  test(`connections that fail with ${error} are counted as ${counter} and as nothing else`, async () => {
    const delay = await lab.delay("node-1", "node-2", ICMP_DELAY_MS);
    const before = await taken(near);
    const to = addresses().map((address) => ({ address, port: 9 }));

    const client = await lab.pod("client").play("fail", { to, count });
    await delay.remove();

    expect(client.failed).toEqual({ [error]: count });
    expect(outcomes(before, await taken(near))).toEqual({ [counter]: count });
  });
}

test("connections that a router prohibits are counted as unreachable host", async () => {
  const delay = await lab.delay("node-1", "node-2", ICMP_DELAY_MS);
  const policy = await lab.drop({ from: "client", to: "server", port: PORT, answer: "prohibit" });
  const before = await taken(near);
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];

  const client = await lab.pod("client").play("fail", { to, count: 11 });
  await policy.remove();
  await delay.remove();

  expect(client.failed).toEqual({ EHOSTUNREACH: 11 });
  expect(outcomes(before, await taken(near))).toEqual({ failedHostUnreachable: 11 });
});

test("connections that a rule drops time out, and those given up before are cancelled", async () => {
  const before = await taken(near);
  const drop = await lab.drop({ from: "client", to: "server", port: PORT });
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];

  const [timedOut, cancelled] = await Promise.all([
    lab.pod("client").play("fail", { to, count: 19, synRetries: 1 }),
    lab.pod("client").play("fail", { to, count: 23, cancelMs: 50 }),
  ]);
  await drop.remove();

  expect([timedOut.failed, cancelled.cancelled]).toEqual([{ ETIMEDOUT: 19 }, 23]);
  expect(outcomes(before, await taken(near))).toEqual({ failedTimedOut: 19, failedCancelled: 23 });
});

test("a RST that answers a SYN is a refusal, whoever sends it: the kernel says ECONNREFUSED", async () => {
  const before = await taken(near);
  const policy = await lab.drop({ from: "client", to: "server", port: PORT, answer: "reset" });

  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
  const client = await lab.pod("client").play("fail", { to, count: 5 });
  await policy.remove();

  expect(client.failed).toEqual({ ECONNREFUSED: 5 });
  expect(outcomes(before, await taken(near))).toEqual({ failedRefused: 5 });
});

test("a reset in mid-stream is counted once at each end, as sent and as received", async () => {
  const before = { client: await taken(near), server: await taken(far) };
  const address = lab.pod("server").ips.v4;

  const byServer = await lab
    .pod("client")
    .play("send", { to: [{ address, port: RESETS }], count: 29, upload: 200, download: 1 });
  const byClient = await lab.pod("client").play("send", { to: [{ address, port: PORT }], count: 31, closer: "reset" });
  await allClosed(60, before);

  expect([byServer.broken, byClient.broken]).toEqual([{ ECONNRESET: 29 }, { own_reset: 31 }]);
  expect({ client: outcomes(before.client, near.sum()), server: outcomes(before.server, far.sum()) }).toEqual({
    client: { opened: 60, closed: 60, resetSent: 31, resetReceived: 29 },
    server: { opened: 60, closed: 60, resetSent: 29, resetReceived: 31 },
  });
});

test("what a full accept queue drops is the namespace's own ListenDrops", async () => {
  const stuck = await lab.pod("server").serve({ listen: [{ port: STUCK, mode: "stuck", backlog: 2 }] });
  const before = await lab.pod("server").books();
  const counted = (await taken(far)).listenerDrops;
  const to = [{ address: lab.pod("server").ips.v4, port: STUCK }];

  const clients = lab.pod("client").start("hold", { to, count: 37 });
  const growth = async () => booksGrowth(before, await lab.pod("server").books(), "TcpExt");
  await eventually("23 drops", async () => ((await growth()).ListenDrops ?? 0) >= 23, 20_000);
  await clients.process.stop("SIGKILL");
  const listener = [...far.edges.values()].find(({ key }) => key.role === "listener" && key.serverPort === STUCK);
  // Clients that were killed send their FINs again, each a drop: both books are read while none comes.
  let [earlier, dropped, later] = [await growth(), 0, {} as Awaited<ReturnType<typeof growth>>];
  await eventually("a moment without a drop", async () => {
    [earlier, dropped, later] = [later, (await taken(far)).listenerDrops - counted, await growth()];
    return earlier.ListenDrops === later.ListenDrops;
  });
  await stuck.process.stop("SIGKILL");

  const { ListenDrops, ListenOverflows } = later;
  expect({ dropped, ListenOverflows }).toEqual({ dropped: ListenDrops, ListenOverflows: ListenDrops });
  expect({ open: listener?.open, limit: listener?.limit }).toEqual({ open: 3, limit: 2 });
});

test("a SYN that comes again because its SYN-ACK was lost is a drop of the listener, and no ListenDrops", async () => {
  const before = { client: await lab.pod("client").books(), server: await lab.pod("server").books() };
  const counted = (await taken(far)).listenerDrops;
  const lost = await lab.drop({ from: "server", to: "client" });
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];

  const client = await lab.pod("client").play("fail", { to, count: 29, synRetries: 1 });
  const dropped = (await taken(far)).listenerDrops - counted;
  const sent = booksGrowth(before.client, await lab.pod("client").books(), "TcpExt");
  const received = booksGrowth(before.server, await lab.pod("server").books(), "TcpExt");
  await lost.remove();

  expect(client.failed).toEqual({ ETIMEDOUT: 29 });
  expect({ dropped, ListenDrops: received.ListenDrops }).toEqual({ dropped: sent.TCPSynRetrans, ListenDrops: 0 });
  expect(dropped).toBeGreaterThanOrEqual(29);
});

async function taken(tally: Tally): Promise<Counters> {
  await tally.take();
  return tally.sum();
}

/** Exchanges until both ends have seen so many more closes. */
async function allClosed(count: number, before?: { client: Counters; server: Counters }): Promise<void> {
  const sides = [
    [near, before?.client],
    [far, before?.server],
  ] as const;
  for (const [tally, start] of sides)
    await tally.until(
      () => `${count} closes, but ${tally.sum().closed - (start?.closed ?? 0)}`,
      () => tally.sum().closed - (start?.closed ?? 0) === count,
      30_000,
    );
}

function retransmitBooks(before: KernelBooks, after: KernelBooks) {
  const syn = booksGrowth(before, after, "TcpExt").TCPSynRetrans ?? 0;
  return { all: booksGrowth(before, after, "Tcp").RetransSegs ?? 0, syn };
}

function retransmits(counters: Counters) {
  const { retransmitsSyn, retransmitsFast, retransmitsTimeout, retransmitsTlp, retransmitsOther } = counters;
  const all = retransmitsSyn + retransmitsFast + retransmitsTimeout + retransmitsTlp + retransmitsOther;
  return { all, syn: retransmitsSyn };
}

const OUTCOMES = EDGE_COUNTERS.filter((name) => /^(opened|closed|reset|failed)/.test(name));

/** What became of connections since `before`: only what grew. */
function outcomes(before: Counters, after: Counters): Record<string, number> {
  const growth = OUTCOMES.map((name) => [name, after[name] - before[name]] as const);
  return Object.fromEntries(growth.filter(([, value]) => value !== 0));
}

/** The bucket that has one RTT more. Throws unless it is one. */
function grownRttBucket(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): number {
  const grown = [...after]
    .filter(([slot]) => slot >= HistogramSlot.SLOT_RTT && slot < HistogramSlot.SLOT_RTT + RTT_SLOTS)
    .map(([slot, count]) => [slot, count - (before.get(slot) ?? 0)] as const)
    .filter(([, growth]) => growth !== 0);
  const [slot, growth] = grown[0] ?? [];
  if (slot === undefined || growth !== 1 || grown.length !== 1)
    throw new Error(`one RTT expected: ${JSON.stringify(grown)}`);
  return slot - HistogramSlot.SLOT_RTT;
}
