/** Interim records of connections that stay open, against what the workload moved: together they are the whole. */
import { afterAll, beforeAll, expect } from "vitest";
import { ConnectionFlag, SampleReason } from "../../../agent/generated/layout.ts";
import { missing, needs } from "../../machine/needs.ts";
import { Tally } from "../agents/tally.ts";
import { twoPods } from "../world/describe.ts";
import { startLab } from "../world/lab.ts";
import { bytes, EVERYTHING, isInterim, PORT, RecordedLab, traceIds } from "./recorded-lab.ts";

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

test("a connection of which an interim record was kept is kept at its end, whatever sampling says by then", async () => {
  const withInterims = { ...EVERYTHING, activeTimeoutNs: 50_000_000n };
  await world.recordBoth({ ...withInterims, every: 1 });
  const held = world.lab.pod("client").start("hold", { to: world.service(), count: 23 });
  await held.ready();
  const interimIds = () => new Set(world.near.records.filter(isInterim).map(({ traceId }) => traceId));
  await world.near.until(
    () => `an interim record of each, but of ${interimIds().size}`,
    () => interimIds().size === 23,
  );
  const before = world.near.sum().closed;
  world.near.client.settings({
    idleNs: 300_000_000_000n,
    records: true,
    recordsAtOnce: true,
    recording: { ...EVERYTHING, every: 1_000_003 },
  });
  await world.near.take();
  await held.close();
  await world.near.until(
    () => "all closed",
    () => world.near.sum().closed === before + 23,
  );

  const wholes = world.near.records.filter((record) => !isInterim(record));
  expect(new Set(wholes.map(({ traceId }) => traceId))).toEqual(interimIds());
  expect(wholes.map(({ kept }) => kept)).toEqual(Array(23).fill(1 << SampleReason.SAMPLE_EVERY_NTH));
});

test("a connection that stays open has interim records which add up to the whole", async () => {
  await world.recordBoth({ ...EVERYTHING, activeTimeoutNs: 50_000_000n });
  const held = world.lab.pod("client").start("hold", { to: world.service(), count: 1 });
  await held.ready();
  const interims = () => world.near.records.filter(isInterim);

  for (let round = 1; round <= 3; round++) {
    await held.send(1000 * round, 500);
    await world.near.until(
      () => `${round} interims, but ${interims().length}`,
      () => interims().length >= round,
    );
  }
  const told = bytes(interims());
  const { bytesSent } = await held.close();
  await world.arrived(interims().length + 1, undefined);

  const whole = world.near.records.at(-1);
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
  expect(new Set(traceIds(world.near)).size).toBe(1);
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
