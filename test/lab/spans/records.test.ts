/**
 * Connection records as the kernel makes them, against the workload's own count and the namespaces' books: both ends'
 * trace ids meet, every retransmit is there, and a storm is shed without touching the metrics.
 */
import { afterAll, beforeAll, expect } from "vitest";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { threadFiles } from "../../../agent/shared/procfs.ts";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { Tally } from "../agents/tally.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import { startLab } from "../world/lab.ts";
import { bytes, EVERYTHING, PORT, RESETS, RecordedLab, sum, traceIds } from "./recorded-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const undo: (() => unknown)[] = [];
let world: RecordedLab;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) world = await RecordedLab.start(undo);
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("of 10,007 connections through a Service both ends make the same trace ids, each once", async () => {
  const count = 10_007;

  const bytesOfEach = { upload: 101, download: 103 };
  const client = await untilNothingHidden(() => world.churnRecorded(EVERYTHING, count, bytesOfEach));

  expect(client).toMatchObject({ opened: count, closed: count });
  expect(new Set(traceIds(world.near)).size).toBe(count);
  expect(traceIds(world.near).sort()).toEqual(traceIds(world.far).sort());
  expect(bytes(world.near.records)).toEqual({ sent: client.bytesSent, received: client.bytesReceived });
  expect(bytes(world.far.records)).toEqual({ sent: client.bytesReceived, received: client.bytesSent });
  expect(world.near.records.every(({ key, remotePort }) => key.role === "client" && remotePort === 80)).toBe(true);
  expect(world.far.records.every(({ key, localPort }) => key.role === "server" && localPort === PORT)).toBe(true);
});

test("another key makes other trace ids, which both ends share again", async () => {
  await world.recordBoth({ ...EVERYTHING, traceKey: [23n, 29n] });

  await world.lab.pod("client").play("churn", { to: world.service(), count: 101 });
  await world.arrived(101, 101);

  expect(traceIds(world.near).sort()).toEqual(traceIds(world.far).sort());
});

test("every retransmit that the namespace counted is in a record, by type and in order of time", async () => {
  await world.recordBoth(EVERYTHING);
  const before = await world.lab.pod("client").books();
  const loss = await world.lab.loss("node-1", "node-2", 0.03);

  await world.lab.pod("client").play("send", { to: world.service(), count: 53, parallel: 23, upload: 200_003 });
  await loss.remove();
  await world.arrived(53, 53);

  const { RetransSegs = 0 } = booksGrowth(before, await world.lab.pod("client").books(), "Tcp");
  const events = world.near.records.flatMap((record) => record.events);
  expect(RetransSegs).toBeGreaterThan(53);
  expect(sum(world.near.records, ({ retransmits }) => retransmits)).toBe(RetransSegs);
  expect(world.near.records.filter((record) => typed(record) !== record.retransmits)).toEqual([]);
  expect(world.near.records.filter((record) => isComplete(record) && resent(record) !== record.retransmits)).toEqual(
    [],
  );
  expect(events.every(({ kind }) => kind.startsWith("retransmit_"))).toBe(true);
  expect(world.near.records.filter((record) => !isOrdered(record))).toEqual([]);
});

test("SYN-ACKs that were sent again are in the server's record as such", async () => {
  await world.recordBoth(EVERYTHING);
  const count = 211;
  const loss = await world.lab.drop({ from: "server", to: "client", probability: 0.1 });
  await world.lab
    .pod("client")
    .play("send", { to: world.service(), count, parallel: count, upload: 101, download: 103 });
  await loss.remove();
  await world.arrived(count, count);

  expect(sum(world.far.records, ({ retransmitsSyn }) => retransmitsSyn)).toBeGreaterThan(0);
  expect(world.far.records.filter((record) => typed(record) !== record.retransmits)).toEqual([]);
});

test("a listener's process is named, also of one that is older than the probe", async () => {
  const ownLab = await startLab(twoPods());
  undo.push(() => ownLab.close());
  const older = await ownLab.pod("server").serve({ listen: [{ port: PORT }], workers: 1 });
  const tally = await Tally.start(ownLab, "node-2");
  undo.push(() => tally.close());
  const newer = await ownLab.pod("server").serve({ listen: [{ port: RESETS }], workers: 1 });
  await tally.record(EVERYTHING);
  const address = ownLab.pod("server").ips.v4;
  for (const port of [PORT, RESETS]) await ownLab.pod("client").play("send", { to: [{ address, port }], count: 1 });
  await tally.until(
    () => `two records, not ${tally.records.length}`,
    () => tally.records.length === 2,
  );

  expect(tally.records.map(({ key, comm }) => [key.serverPort, comm])).toEqual([
    [PORT, "workload"],
    [RESETS, "workload"],
  ]);
  // Of one that is older, a process that holds it; of a newer one, that which called listen().
  const holders = [older.process.pid, ...threadFiles(older.process.pid, "children").flatMap(pidsOf)];
  expect(holders).toContain(tally.records[0]?.pid);
  expect(tally.records[1]?.pid).toBe(newer.process.pid);
});

test("a storm of failing connects is shed to the bucket's rate, and the metrics have all of it", () =>
  untilNothingHidden(storm));

async function storm(): Promise<void> {
  const count = 20_011;
  await world.recordBoth({ ...EVERYTHING, rate: { perSecond: 100, burst: 50 } });
  const refusedBefore = world.near.sum().failedRefused;
  const shedBefore = world.near.last.status.losses.records_shed ?? 0;
  const begun = performance.now();

  const to = [{ address: world.lab.pod("server").ips.v4, port: 9 }];
  const client = await world.lab.pod("client").play("fail", { to, count, parallel: 64 });
  const seconds = (performance.now() - begun) / 1000;
  await world.near.until(
    () => `${count} refused, but ${world.near.sum().failedRefused - refusedBefore}`,
    () => world.near.sum().failedRefused - refusedBefore === count,
  );

  const shed = (world.near.last.status.losses.records_shed ?? 0) - shedBefore;
  expect(client.failed).toEqual({ ECONNREFUSED: count });
  expect(world.near.records.length + shed).toBe(count);
  const cpus = (await world.near.client.hello()).cpus;
  expect(world.near.records.length).toBeLessThanOrEqual(cpus * (50 + 100 * (seconds + 1)));
}

function typed({ retransmitsSyn, retransmitsFast, retransmitsTimeout, retransmitsTlp }: Connection): number {
  return retransmitsSyn + retransmitsFast + retransmitsTimeout + retransmitsTlp;
}

function pidsOf(children: string): number[] {
  return children.split(" ").filter(Boolean).map(Number);
}

function resent({ events }: Connection): number {
  return events.reduce((total, { segments }) => total + segments, 0);
}

/** Whether none of its events was past the last slot. */
function isComplete({ events }: Connection): boolean {
  return events.length < 32;
}

function isOrdered({ events, startNs, endNs }: Connection): boolean {
  const times = [startNs, ...events.map(({ timeNs }) => timeNs), endNs];
  return times.every((time, i) => i === 0 || (times[i - 1] ?? 0n) <= time);
}
