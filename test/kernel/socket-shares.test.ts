/**
 * Where sockets are known by address, they lie in a table that all share. One tenant attacks it, as any user may: what it has
 * beyond its share is its own loss, and others' sockets are exact.
 *
 *   node-1: pods `attacker` and `victim`, each of which talks with itself
 */
import { statSync } from "node:fs";
import { afterEach, beforeEach, expect } from "vitest";
import { SAMPLE_NEVER } from "../../agent/generated/layout.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import { Tally } from "../lab/agents/tally.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
const ROOM = 2_048;
/** One tenant alone may hold a half: its listener, and both ends of its connections. */
const SHARE = ROOM / 2;
/** Far more than the table has room for. */
const ATTACK = 3_001;
const PORT = 8080;
const VICTIM = { count: 101, upload: 1_009, download: 503 };
const RECORDS = {
  activeTimeoutNs: 0n,
  traceKey: [1n, 2n] as [bigint, bigint],
  threshold: 0n,
  every: 0,
  adaptive: { rttUs: 0, retransmits: 0 },
  rate: { perSecond: 100_000, burst: 100_000 },
};

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "attacker" }, { key: "victim" }] }));
  tally = await Tally.start(lab, "node-1", ["--sockets", String(ROOM)], { FLOWSPAN_SOCKETS: "by-address" });
  for (const pod of ["attacker", "victim"]) await lab.pod(pod).serve({ listen: [{ port: PORT, backlog: ATTACK }] });
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("who holds its share of the sockets loses its own, and another's are exact", async () => {
  const held = await hold("attacker", ATTACK);
  await tally.take();
  const opened = tally.sum(isOf("attacker")).opened;
  const losses = { ...tally.losses };

  const victim = await hold("victim", VICTIM.count);
  await victim.send(VICTIM.upload, VICTIM.download);
  await victimHas({ opened: 2 * VICTIM.count, closed: 0, bytes: VICTIM.count * (VICTIM.upload + VICTIM.download) });
  await victim.close();
  await victimHas({
    opened: 2 * VICTIM.count,
    closed: 2 * VICTIM.count,
    bytes: VICTIM.count * (VICTIM.upload + VICTIM.download),
  });

  const failed = 2 * ATTACK - opened;
  expect(opened).toBe(SHARE - 1); // and its listener
  expect(losses).toEqual({ storage_failed: failed });
  expect(tally.losses).toEqual({ storage_failed: failed });
  await held.close();
  await attackerClosed(opened);
  expect(tally.losses).toEqual({ storage_failed: failed, closed_untracked: failed });
});

test("a share is counted exactly: after each attack, and all closed, the next one has as many", async () => {
  await tally.record({ ...RECORDS, threshold: SAMPLE_NEVER }); // with it, a child has a storage before it has its cookie
  const rounds: number[] = [];
  for (let before = 0, round = 0; round < 4; round++) {
    const held = await hold("attacker", ATTACK);
    await held.close();
    await tally.take();
    const { opened } = tally.sum(isOf("attacker"));
    await attackerClosed(opened);
    rounds.push(opened - before);
    before = opened;
    await tally.take(); // frees what had closed before it began
    await tally.take();
  }

  // The two elements of a child may be there at one moment, when the last ones of a share are taken on two CPUs.
  for (const opened of rounds) expect(Math.abs(opened - SHARE)).toBeLessThanOrEqual(4);
});

test("who closes more than are freed between two walks leaves others' resets that follow a close", async () => {
  const attack = lab.pod("attacker").play("send", { to: [{ address: "127.0.0.1", port: PORT }], count: ROOM });
  await attack;
  await lab.pod("victim").play("send", {
    ...{ to: [{ address: "127.0.0.1", port: PORT }], count: VICTIM.count, upload: VICTIM.upload },
    closer: "reset",
  });
  await victimHas({ opened: 2 * VICTIM.count, closed: 2 * VICTIM.count });

  const isVictims = isOf("victim");
  expect(tally.sum((key) => isVictims(key) && key.role === "client").resetSent).toBe(VICTIM.count);
  expect(tally.sum((key) => isVictims(key) && key.role === "server").resetReceived).toBe(VICTIM.count);
  expect(tally.sum(isOf("attacker")).closed).toBe(2 * ROOM);
  expect(tally.losses).toEqual({});
});

test("who holds its share of the sockets leaves room for the interim records of another's", async () => {
  await tally.record({ ...RECORDS, activeTimeoutNs: 50_000_000n });
  await hold("attacker", ATTACK);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await tally.take();
  await tally.take();
  await hold("victim", VICTIM.count);
  const isVictims = isOf("victim");
  const interim = () => new Set(tally.records.filter(({ key }) => isVictims(key)).map(({ traceId }) => traceId)).size;

  await tally.until(
    () => `interim records of the victim: ${interim()}`,
    () => interim() === VICTIM.count,
  );
});

async function hold(pod: string, count: number) {
  const held = lab.pod(pod).start("hold", { to: [{ address: "127.0.0.1", port: PORT }], count });
  await held.ready(60_000);
  return held;
}

async function victimHas(expected: { opened: number; closed: number; bytes?: number }): Promise<void> {
  const isVictims = isOf("victim");
  const now = () => {
    const { opened, closed, bytesSent, bytesReceived } = tally.sum(isVictims);
    return { opened, closed, bytes: [bytesSent, bytesReceived] };
  };
  await tally.until(
    () => `the victim's: ${JSON.stringify(now())}`,
    () => now().opened >= expected.opened && now().closed >= expected.closed,
  );
  if (expected.bytes !== undefined)
    await tally.until(
      () => `the victim's: ${JSON.stringify(now())}`,
      () => now().bytes[0] === expected.bytes && now().bytes[1] === expected.bytes,
    );
  expect(now()).toMatchObject({ opened: expected.opened, closed: expected.closed });
}

function attackerClosed(opened: number): Promise<void> {
  const isOwn = isOf("attacker");
  return tally.until(
    () => `the attacker's closed: ${tally.sum(isOwn).closed} of ${opened}`,
    () => tally.sum(isOwn).closed === opened,
    30_000,
  );
}

function isOf(pod: string): (key: EdgeKey) => boolean {
  const id = statSync(lab.pod(pod).place.cgroup, { bigint: true }).ino;
  return (key) => key.cgroup === id;
}
