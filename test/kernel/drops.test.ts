/**
 * Dropped packets and neighbours that do not answer, against the kernel's own counts: iptables', /proc/net/snmp's, the
 * neighbour tables'.
 *
 *   "client" ── node-1 ── "server"        23 packets each, by the way in which they are dropped
 */
import { statSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import type { EvidenceKey } from "../../agent/model/kernel-evidence.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import { program, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { booksGrowth, type KernelBooks } from "../lab/world/kernel-books.ts";
import { type Lab, type LabPlace, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const COUNT = 23;
const UDP = 17;
const TCP = 6;
/** What healthy traffic may make one of for each packet, or connection. */
const TOTAL_ALONE: ReadonlySet<string> = new Set(["NOT_SPECIFIED", "QUEUE_PURGE"]);

let lab: Lab;
let tally: Tally;
let client: LabPlace;
let server: LabPlace;
let node: LabPlace;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
  [client, server, node] = [lab.pod("client"), lab.pod("server"), lab.host("node-1", "sleep.service")];
  // Packets without a socket are counted in namespaces that a counted thread lives in.
  for (const place of [client, server, node]) place.spawn(["sleep", "infinity"]);
  tally = await Tally.start(lab, "node-1");
  await tally.until(
    () => "the three namespaces",
    () => [client, server, node].every((place) => tally.last.namespaces.some(({ netns }) => netns === inode(place))),
  );
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

for (const [chain, where, direction, hasSocket] of [
  ["OUTPUT", () => client, "transmit", true],
  ["FORWARD", () => node, "forward", false],
  ["INPUT", () => server, "receive", false],
] as const) {
  test(`what a rule of ${chain} drops is counted as iptables counts it, with both ends`, async () => {
    const port = 9000 + chain.length;
    const rule = [chain, "-p", "udp", "--dport", String(port), "-j", "DROP"];
    await inNetns(where(), ["iptables", "-I", ...rule]);

    await send(client, server.ips.v4, port);
    const dropped = await ruleCount(where(), chain, port);
    await inNetns(where(), ["iptables", "-D", ...rule]);
    const [drop] = await drops("NETFILTER_DROP", ({ serverPort }) => serverPort === port, COUNT);

    const [local, remote] = direction === "receive" ? [server, client] : [client, server];
    const role = direction === "receive" ? "server" : "client";
    const ends = { localAddress: local.ips.v4, remoteAddress: remote.ips.v4, serverPort: port, role };
    expect(dropped).toBe(COUNT);
    expect(drop?.key).toMatchObject({ ...ends, netns: inode(where()), direction, transport: UDP, etherType: 0x0800 });
    expect((drop?.key.cgroup ?? 0n) !== 0n).toBe(hasSocket);
    expect(tally.losses).toEqual({});
  });
}

test("datagrams that a full socket refuses are its RcvbufErrors, and name its device and cgroup", async () => {
  const holder = server.spawn([program("datagrams"), "hold", "9100"]);
  await eventually("a bound socket", () => holder.stdout.includes("ready"));
  const before = await server.books();

  await send(client, server.ips.v4, 9100, 101);
  const { RcvbufErrors = 0 } = booksGrowth(before, await server.books(), "Udp");
  const [drop] = await drops("SOCKET_RCVBUFF", ({ serverPort }) => serverPort === 9100, RcvbufErrors);
  await holder.stop("SIGKILL");

  expect(RcvbufErrors).toBeGreaterThan(50);
  expect(drop?.key).toMatchObject({ localAddress: server.ips.v4, direction: "receive", netns: inode(server) });
});

test("segments with a wrong checksum are InCsumErrors", async () => {
  const growth = await counted("TCP_CSUM", server, "Tcp", "InCsumErrors", TCP, () =>
    client.exec([program("datagrams"), "badtcp", server.ips.v4, "9200", String(COUNT)]),
  );

  expect(growth).toEqual({ books: COUNT, drops: COUNT });
});

test("datagrams to a closed port are NoPorts", async () => {
  const growth = await counted("NO_SOCKET", server, "Udp", "NoPorts", UDP, () => send(client, server.ips.v4, 9300));

  expect(growth).toEqual({ books: COUNT, drops: COUNT });
});

test("what a node has no route for is InNoRoutes", async () => {
  const growth = await counted("IP_INNOROUTES", node, "IpExt", "InNoRoutes", UDP, () =>
    send(client, "203.0.113.1", 9400),
  );

  expect(growth).toEqual({ books: COUNT, drops: COUNT });
});

test("the sum of all rows of each reason is the total of that reason", async () => {
  await tally.take();

  for (const [reason, total] of Object.entries(totals()))
    if (!TOTAL_ALONE.has(reason)) expect([reason, rowSum(reason)]).toEqual([reason, total]);
  expect(tally.last.evidence.totals.every(({ leftOut }) => leftOut === 0)).toBe(true);
});

test("healthy traffic has no drop but of what was sent again and had come already", async () => {
  await server.serve({ listen: [{ port: 8080 }] });
  await tally.take();
  const before = { totals: totals(), books: await client.books() };

  await client.play("send", { to: [{ address: server.ips.v4, port: 8080 }], count: COUNT, upload: 100_003 });
  await tally.take();

  const { TCP_OLD_DATA: late = 0, ...drops } = totals();
  const { TCP_OLD_DATA: lateBefore = 0, ...dropsBefore } = before.totals;
  expect(drops).toEqual(dropsBefore);
  const resent = booksGrowth(before.books, await client.books(), "Tcp").RetransSegs ?? 0;
  expect(late - lateBefore).toBeLessThanOrEqual(resent);
});

test("FINs that meet sockets which are closed already are in the total, and are nobody's drops", async () => {
  await server.serve({ listen: [{ port: 8085 }] });
  await tally.take();
  // Older kernels have no reason for it.
  const freed = () => [...TOTAL_ALONE].reduce((sum, reason) => sum + (totals()[reason] ?? 0), 0);
  const before = freed();

  await client.play("churn", { to: [{ address: server.ips.v4, port: 8085 }], count: COUNT });
  await tally.until(
    () => `${COUNT} FINs more than ${before}, not ${JSON.stringify(totals())}`,
    () => freed() - before >= COUNT,
  );

  expect(rowSum("QUEUE_PURGE")).toBe(0);
  expect(tally.losses).toEqual({});
});

test("a neighbour that does not answer is counted once, under its address, device and namespace", async () => {
  await inNetns(client, ["ip", "route", "add", "192.0.2.0/24", "dev", "eth0"]);
  const drops = rowSum("NEIGH_FAILED");

  await send(client, "192.0.2.77", 9, 1);
  const failed = () => [...tally.evidence.values()].filter(({ key }) => key.remoteAddress === "192.0.2.77");
  await tally.until(
    () => "the failure",
    () => failed().length > 0,
  );

  const [first] = failed().filter(({ key }) => key.kind === "neighbour-unresolved");
  expect(first).toMatchObject({ count: 1, key: { netns: inode(client), etherType: 0x0800, cgroup: 0n } });
  // The datagram that waited for it is dropped, too.
  expect(rowSum("NEIGH_FAILED") - drops).toBe(1);
});

/** Growth of a counter of a namespace's books, and of the drops there that it must be. */
async function counted(
  reason: string,
  where: LabPlace,
  group: string,
  counter: string,
  transport: number,
  act: () => Promise<unknown>,
): Promise<{ books: number; drops: number }> {
  const before: KernelBooks = await where.books();
  await act();
  const books = booksGrowth(before, await where.books(), group)[counter] ?? 0;
  const is = (key: EvidenceKey) => key.netns === inode(where) && key.transport === transport;
  const found = await drops(reason, is, books);
  return { books, drops: found.reduce((sum, { count }) => sum + count, 0) };
}

/** Drops of a reason, once they are as many as expected. */
async function drops(reason: string, where: (key: EvidenceKey) => boolean, count: number) {
  const found = () => rows(reason).filter(({ key }) => where(key));
  await tally.until(
    () => `${count} packets dropped by ${reason}, not ${JSON.stringify(totals())}`,
    () => found().reduce((sum, row) => sum + row.count, 0) >= count,
  );
  await tally.take();
  expect(found().reduce((sum, row) => sum + row.count, 0)).toBe(count);
  return found();
}

function rows(reason: string) {
  const number = tally.last.evidence.totals.find(({ name }) => name === reason)?.reason;
  return [...tally.evidence.values()].filter(({ key }) => key.kind === "drop" && key.reason === number);
}

function rowSum(reason: string): number {
  return rows(reason).reduce((sum, { count }) => sum + count, 0);
}

/** All drops by reason. */
function totals(): Record<string, number> {
  const ofDrops = tally.last.evidence.totals.filter(({ kindOf }) => kindOf === "drop");
  return Object.fromEntries(ofDrops.map(({ name, count }) => [name, count]));
}

function send(from: LabPlace, address: string, port: number, count = COUNT): Promise<unknown> {
  return from.exec([program("datagrams"), "send", address, String(port), String(count)]);
}

/** Packets of the chain's rule for that port. */
async function ruleCount(where: LabPlace, chain: string, port: number): Promise<number> {
  const listed = await inNetns(where, ["iptables", "-L", chain, "-v", "-x", "-n"]);
  const line = listed.split("\n").find((text) => text.includes(`dpt:${port}`)) ?? "";
  return Number(line.trim().split(/\s+/)[0]);
}

function inNetns({ place }: LabPlace, argv: readonly string[]): Promise<string> {
  return run(["nsenter", `--net=${place.netns}`, ...argv]);
}

function inode({ place }: LabPlace): number {
  return statSync(place.netns).ino;
}
