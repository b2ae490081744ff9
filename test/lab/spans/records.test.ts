/**
 * Connection records as the kernel makes them, against the workload's own count and the namespaces' books:
 * both ends' trace ids meet, sampling keeps the same at both, every retransmit is there, and a storm is shed
 * without touching the metrics.
 *
 *   client on node-1 ── Service, loss ── server on node-2, a probe on each node
 */
import { afterAll, beforeAll, expect } from "vitest";
import { ConnectionFlag, SAMPLE_NEVER, SampleReason } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { threadFiles } from "../../../agent/shared/procfs.ts";
import type { RecordSettings } from "../../../agent/source/source.ts";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { Tally } from "../agents/tally.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import { type Lab, startLab } from "../world/lab.ts";

const PORT = 8080;
const RESETS = 8081;
const SINK = 8082;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const EVERYTHING: RecordSettings = {
  activeTimeoutNs: 0n,
  traceKey: [0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n],
  threshold: SAMPLE_NEVER,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};
/** So that none is shed for want of a reader on a busy machine. */
const ROOM = ["--records-ring", String(8 * 1024 * 1024)];
const MOST_RETRANSMITS = 0xffff_ffff;

const undo: (() => unknown)[] = [];
let lab: Lab;
let near: Tally;
let far: Tally;
/** How many connections had closed, and how many of these closes were seen, when each was last told what to record. */
const starts = new Map<Tally, { readonly ended: number; readonly closed: number }>();

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(twoPods());
  undo.push(() => lab.close());
  near = await Tally.start(lab, "node-1", ROOM);
  undo.push(() => near.close());
  far = await Tally.start(lab, "node-2", ROOM);
  undo.push(() => far.close());
  const listen = [{ port: PORT }, { port: RESETS, mode: "reset", resetAfter: 100 } as const, { port: SINK }];
  await lab.pod("server").serve({ listen });
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("of 10,007 connections through a Service both ends make the same trace ids, each once", async () => {
  const count = 10_007;

  const bytesOfEach = { upload: 101, download: 103 };
  const client = await untilNothingHidden(() => churnRecorded(EVERYTHING, count, bytesOfEach));

  expect(client).toMatchObject({ opened: count, closed: count });
  expect(new Set(traceIds(near)).size).toBe(count);
  expect(traceIds(near).sort()).toEqual(traceIds(far).sort());
  expect(bytes(near.records)).toEqual({ sent: client.bytesSent, received: client.bytesReceived });
  expect(bytes(far.records)).toEqual({ sent: client.bytesReceived, received: client.bytesSent });
  expect(near.records.every(({ key, remotePort }) => key.role === "client" && remotePort === 80)).toBe(true);
  expect(far.records.every(({ key, localPort }) => key.role === "server" && localPort === PORT)).toBe(true);
});

test("another key makes other trace ids, which both ends share again", async () => {
  await recordBoth({ ...EVERYTHING, traceKey: [23n, 29n] });

  await lab.pod("client").play("churn", { to: service(), count: 101 });
  await arrived(101, 101);

  expect(traceIds(near).sort()).toEqual(traceIds(far).sort());
});

for (const [rate, threshold] of [
  [2, 1n << 55n],
  [16, (1n << 56n) - (1n << 52n)],
] as const) {
  test(`random sampling of one in ${rate} keeps the same at both ends, and re-scaled gives the count`, async () => {
    const count = 8_009;

    await untilNothingHidden(() => churnRecorded({ ...EVERYTHING, threshold }, count));

    expect(traceIds(near).sort()).toEqual(traceIds(far).sort());
    expect(near.records.filter(({ traceId }) => BigInt(`0x${traceId.slice(18)}`) < threshold)).toEqual([]);
    expect(new Set(near.records.map(({ kept, sampleThreshold }) => `${kept} ${sampleThreshold}`))).toEqual(
      new Set([`${1 << SampleReason.SAMPLE_RANDOM} ${threshold}`]),
    );
    // Five standard deviations of a binomial: one run in 1.7 million lies outside.
    const bound = 5 * Math.sqrt(count * (rate - 1));
    expect(Math.abs(near.records.length * rate - count)).toBeLessThan(bound);
  });
}

test("every 7th is kept on each CPU, and says that no probability tells of it", async () => {
  await untilNothingHidden(() => churnRecorded({ ...EVERYTHING, every: 7 }, 7_001));

  expect(Math.abs(near.records.length - 7_001 / 7)).toBeLessThanOrEqual(2);
  expect(new Set(near.records.map(({ kept, sampleThreshold }) => `${kept} ${sampleThreshold}`))).toEqual(
    new Set([`${1 << SampleReason.SAMPLE_EVERY_NTH} ${SAMPLE_NEVER}`]),
  );
});

test("adaptive sampling keeps failures and resets, and of healthy connections none", async () => {
  await recordBoth({ ...EVERYTHING, adaptive: { rttUs: 100_000, retransmits: 3 } });
  const address = lab.pod("server").ips.v4;

  await lab.pod("client").play("churn", { to: service(), count: 211 });
  await lab.pod("client").play("fail", { to: [{ address, port: 9 }], count: 13 });
  await lab.pod("client").play("send", { to: [{ address, port: RESETS }], count: 11, upload: 200, download: 1 });
  await arrived(24, 11);

  const kept = 1 << SampleReason.SAMPLE_ADAPTIVE;
  expect(near.records.map(({ kept, sampleThreshold }) => [kept, sampleThreshold])).toEqual(
    Array.from({ length: 24 }, () => [kept, 0n]),
  );
  expect(counted(near.records.map(outcome))).toEqual({ "failed 111 in syn_sent": 13, "reset by peer": 11 });
  expect(counted(far.records.map(outcome))).toEqual({ "reset by us": 11 });
  expect(near.records.filter(({ localPort }) => localPort === 0)).toEqual([]);
});

test("adaptive sampling keeps what is slow, and what was resent too often", async () => {
  await recordBoth({ ...EVERYTHING, adaptive: { rttUs: 20_000, retransmits: MOST_RETRANSMITS } });
  const delay = await lab.delay("node-1", "node-2", 17);
  await lab.pod("client").play("send", { to: service(), count: 5 });
  await arrived(5, 5);
  await delay.remove();

  await recordBoth({ ...EVERYTHING, adaptive: { rttUs: 0, retransmits: 3 } });
  const loss = await lab.loss("node-1", "node-2", 0.05);
  const client = lab.pod("client").play("send", { to: service(), count: 31, upload: 300_007, parallel: 31 });
  await client;
  await loss.remove();
  await allClosed(31);

  expect(near.records.length).toBeGreaterThan(0);
  expect(near.records.filter(({ retransmits }) => retransmits <= 3)).toEqual([]);
});

test("every retransmit that the namespace counted is in a record, by type and in order of time", async () => {
  await recordBoth(EVERYTHING);
  const before = await lab.pod("client").books();
  const loss = await lab.loss("node-1", "node-2", 0.03);

  await lab.pod("client").play("send", { to: service(), count: 53, parallel: 23, upload: 200_003 });
  await loss.remove();
  await arrived(53, 53);

  const { RetransSegs = 0 } = booksGrowth(before, await lab.pod("client").books(), "Tcp");
  const events = near.records.flatMap((record) => record.events);
  expect(RetransSegs).toBeGreaterThan(53);
  expect(sum(near.records, ({ retransmits }) => retransmits)).toBe(RetransSegs);
  expect(near.records.filter((record) => typed(record) !== record.retransmits)).toEqual([]);
  expect(near.records.filter((record) => isComplete(record) && resent(record) !== record.retransmits)).toEqual([]);
  expect(events.every(({ kind }) => kind.startsWith("retransmit_"))).toBe(true);
  expect(near.records.filter((record) => !isOrdered(record))).toEqual([]);
});

test("SYN-ACKs that were sent again are in the server's record as such", async () => {
  await recordBoth(EVERYTHING);
  const count = 211;
  const loss = await lab.drop({ from: "server", to: "client", probability: 0.1 });
  await lab.pod("client").play("send", { to: service(), count, parallel: count, upload: 101, download: 103 });
  await loss.remove();
  await arrived(count, count);

  expect(sum(far.records, ({ retransmitsSyn }) => retransmitsSyn)).toBeGreaterThan(0);
  expect(far.records.filter((record) => typed(record) !== record.retransmits)).toEqual([]);
});

test("a connection of which an interim record was kept is kept at its end, whatever sampling says by then", async () => {
  const withInterims = { ...EVERYTHING, activeTimeoutNs: 50_000_000n };
  await recordBoth({ ...withInterims, every: 1 });
  const held = lab.pod("client").start("hold", { to: service(), count: 23 });
  await held.ready();
  const isInterim = ({ flags }: Connection) => (flags & (1 << ConnectionFlag.CONNECTION_INTERIM)) !== 0;
  const interimIds = () => new Set(near.records.filter(isInterim).map(({ traceId }) => traceId));
  await near.until(
    () => `an interim record of each, but of ${interimIds().size}`,
    () => interimIds().size === 23,
  );
  const before = near.sum().closed;
  near.client.settings({
    idleNs: 300_000_000_000n,
    records: true,
    recordsAtOnce: true,
    recording: { ...EVERYTHING, every: 1_000_003 },
  });
  await near.take();
  await held.close();
  await near.until(
    () => "all closed",
    () => near.sum().closed === before + 23,
  );

  const wholes = near.records.filter((record) => !isInterim(record));
  expect(new Set(wholes.map(({ traceId }) => traceId))).toEqual(interimIds());
  expect(wholes.map(({ kept }) => kept)).toEqual(Array(23).fill(1 << SampleReason.SAMPLE_EVERY_NTH));
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

test("a connection that stays open has interim records which add up to the whole", async () => {
  await recordBoth({ ...EVERYTHING, activeTimeoutNs: 50_000_000n });
  const held = lab.pod("client").start("hold", { to: service(), count: 1 });
  await held.ready();
  const interims = () => near.records.filter(({ flags }) => flags & (1 << ConnectionFlag.CONNECTION_INTERIM));

  for (let round = 1; round <= 3; round++) {
    await held.send(1000 * round, 500);
    await near.until(
      () => `${round} interims, but ${interims().length}`,
      () => interims().length >= round,
    );
  }
  const told = bytes(interims());
  const { bytesSent } = await held.close();
  await arrived(interims().length + 1, undefined);

  const whole = near.records.at(-1);
  expect(interims().map(({ interims }) => interims)).toEqual(interims().map((_, i) => i));
  expect(
    interims()
      .slice(1)
      .map(({ startNs }) => startNs),
  ).toEqual(
    interims()
      .slice(0, -1)
      .map(({ endNs }) => endNs),
  );
  expect(told.sent).toBe(bytesSent);
  expect(new Set(traceIds(near)).size).toBe(1);
  expect([whole?.interims, whole?.bytesSent]).toEqual([interims().length, bytesSent]);
});

test("interim records of a connection older than the probe hold only what came after it was found", async () => {
  const ownLab = await startLab(twoPods());
  undo.push(() => ownLab.close());
  await ownLab.pod("server").serve({ listen: [{ port: PORT }] });
  const to = [{ address: ownLab.pod("server").ips.v4, port: PORT }];
  const held = ownLab.pod("client").start("hold", { to, count: 1 });
  await held.ready();
  await held.send(1013, 509);

  const tally = await Tally.start(ownLab, "node-1");
  undo.push(() => tally.close());
  await tally.record({ ...EVERYTHING, activeTimeoutNs: 50_000_000n });
  await held.send(1009, 503);
  const isInterim = ({ flags }: Connection) => (flags & (1 << ConnectionFlag.CONNECTION_INTERIM)) !== 0;
  const interims = () => bytes(tally.records.filter(isInterim));
  await tally.until(
    () => `interims of ${JSON.stringify(interims())}`,
    () => interims().sent >= 1009,
  );
  const { bytesSent, bytesReceived } = await held.close();
  await tally.until(
    () => `${tally.records.length} records, none of them the last`,
    () => tally.records.some((record) => !isInterim(record)),
  );

  const whole = tally.records.find((record) => !isInterim(record));
  expect(interims()).toEqual({ sent: 1009, received: 503 });
  expect(whole && bytes([whole])).toEqual({ sent: bytesSent, received: bytesReceived });
  expect((whole?.flags ?? 0) & (1 << ConnectionFlag.CONNECTION_ADOPTED)).not.toBe(0);
});

test("a storm of failing connects is shed to the bucket's rate, and the metrics have all of it", () =>
  untilNothingHidden(storm));

async function storm(): Promise<void> {
  const count = 20_011;
  await recordBoth({ ...EVERYTHING, rate: { perSecond: 100, burst: 50 } });
  const refusedBefore = near.sum().failedRefused;
  const shedBefore = near.last.status.losses.records_shed ?? 0;
  const begun = performance.now();

  const to = [{ address: lab.pod("server").ips.v4, port: 9 }];
  const client = await lab.pod("client").play("fail", { to, count, parallel: 64 });
  const seconds = (performance.now() - begun) / 1000;
  await near.until(
    () => `${count} refused, but ${near.sum().failedRefused - refusedBefore}`,
    () => near.sum().failedRefused - refusedBefore === count,
  );

  const shed = (near.last.status.losses.records_shed ?? 0) - shedBefore;
  expect(client.failed).toEqual({ ECONNREFUSED: count });
  expect(near.records.length + shed).toBe(count);
  const cpus = (await near.client.hello()).cpus;
  expect(near.records.length).toBeLessThanOrEqual(cpus * (50 + 100 * (seconds + 1)));
}

async function recordBoth(recording: RecordSettings): Promise<void> {
  await Promise.all([near.record(recording), far.record(recording)]);
  for (const tally of [near, far]) starts.set(tally, { ended: tally.ended, closed: tally.sum().closed });
}

/** So many connections, one after the other, all closed and their records here when it resolves. */
async function churnRecorded(recording: RecordSettings, count: number, bytesOfEach = {}) {
  await recordBoth(recording);
  const counts = await lab.pod("client").play("churn", { to: service(), count, ...bytesOfEach });
  await allClosed(count);
  return counts;
}

function service() {
  const { clusterIps, port } = lab.service("server");
  return [{ address: clusterIps.v4, port }];
}

/** Exchanges until so many records have come. */
async function arrived(nearCount: number, farCount: number | undefined): Promise<void> {
  for (const [tally, count] of [
    [near, nearCount],
    [far, farCount],
  ] as const)
    if (count !== undefined)
      await tally.until(
        () => `${count} records, but ${tally.records.length}`,
        () => tally.records.length >= count,
        30_000,
      );
}

/**
 * Exchanges until both ends have closed so many since record(): then all records that are due have come.
 * Fails at once where the kernel hid a close, which leaves no record.
 */
async function allClosed(count: number): Promise<void> {
  for (const tally of [near, far]) {
    const start = starts.get(tally) ?? { ended: 0, closed: 0 };
    const ended = () => tally.ended - start.ended;
    await tally.until(
      () => `${count} closes, but ${ended()}`,
      () => ended() === count,
      30_000,
    );
    expect({ closed: tally.sum().closed - start.closed, losses: tally.losses }).toMatchObject({ closed: count });
  }
}

function traceIds(tally: Tally): string[] {
  return tally.records.map(({ traceId }) => traceId);
}

function bytes(records: readonly Connection[]) {
  return {
    sent: sum(records, ({ bytesSent }) => bytesSent),
    received: sum(records, ({ bytesReceived }) => bytesReceived),
  };
}

function sum(records: readonly Connection[], of: (record: Connection) => number): number {
  return records.reduce((total, record) => total + of(record), 0);
}

function counted(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function outcome({ establishedNs, flags, error, state }: Connection): string {
  if (establishedNs === 0n) return `failed ${error} in ${state}`;
  if (flags & (1 << ConnectionFlag.CONNECTION_RESET_RECEIVED)) return "reset by peer";
  return flags & (1 << ConnectionFlag.CONNECTION_RESET_SENT) ? "reset by us" : "closed";
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
