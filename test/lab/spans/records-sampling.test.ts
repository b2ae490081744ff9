/** Which connection records the kernel keeps: the same at both ends, and what it says of why. */
import { afterAll, beforeAll, expect } from "vitest";
import { ConnectionFlag, SAMPLE_NEVER, SampleReason } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { EVERYTHING, RESETS, RecordedLab, traceIds } from "./recorded-lab.ts";

const MOST_RETRANSMITS = 0xffff_ffff;

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

for (const [rate, threshold] of [
  [2, 1n << 55n],
  [16, (1n << 56n) - (1n << 52n)],
] as const) {
  test(`random sampling of one in ${rate} keeps the same at both ends, and re-scaled gives the count`, async () => {
    const count = 8_009;

    await untilNothingHidden(() => world.churnRecorded({ ...EVERYTHING, threshold }, count));

    expect(traceIds(world.near).sort()).toEqual(traceIds(world.far).sort());
    expect(world.near.records.filter(({ traceId }) => BigInt(`0x${traceId.slice(18)}`) < threshold)).toEqual([]);
    expect(new Set(world.near.records.map(({ kept, sampleThreshold }) => `${kept} ${sampleThreshold}`))).toEqual(
      new Set([`${1 << SampleReason.SAMPLE_RANDOM} ${threshold}`]),
    );
    // Five standard deviations of a binomial: one run in 1.7 million lies outside.
    const bound = 5 * Math.sqrt(count * (rate - 1));
    expect(Math.abs(world.near.records.length * rate - count)).toBeLessThan(bound);
  });
}

test("every 7th is kept on each CPU, and says that no probability tells of it", async () => {
  await untilNothingHidden(() => world.churnRecorded({ ...EVERYTHING, every: 7 }, 7_001));

  expect(Math.abs(world.near.records.length - 7_001 / 7)).toBeLessThanOrEqual(2);
  expect(new Set(world.near.records.map(({ kept, sampleThreshold }) => `${kept} ${sampleThreshold}`))).toEqual(
    new Set([`${1 << SampleReason.SAMPLE_EVERY_NTH} ${SAMPLE_NEVER}`]),
  );
});

test("adaptive sampling keeps failures and resets, and of healthy connections none", async () => {
  await world.recordBoth({ ...EVERYTHING, adaptive: { rttUs: 100_000, retransmits: 3 } });
  const address = world.lab.pod("server").ips.v4;

  await world.lab.pod("client").play("churn", { to: world.service(), count: 211 });
  await world.lab.pod("client").play("fail", { to: [{ address, port: 9 }], count: 13 });
  await world.lab.pod("client").play("send", { to: [{ address, port: RESETS }], count: 11, upload: 200, download: 1 });
  await world.arrived(24, 11);

  const kept = 1 << SampleReason.SAMPLE_ADAPTIVE;
  expect(world.near.records.map(({ kept, sampleThreshold }) => [kept, sampleThreshold])).toEqual(
    Array.from({ length: 24 }, () => [kept, 0n]),
  );
  expect(counted(world.near.records.map(outcome))).toEqual({ "failed 111 in syn_sent": 13, "reset by peer": 11 });
  expect(counted(world.far.records.map(outcome))).toEqual({ "reset by us": 11 });
  expect(world.near.records.filter(({ localPort }) => localPort === 0)).toEqual([]);
});

test("adaptive sampling keeps what is slow, and what was resent too often", async () => {
  await world.recordBoth({ ...EVERYTHING, adaptive: { rttUs: 20_000, retransmits: MOST_RETRANSMITS } });
  const delay = await world.lab.delay("node-1", "node-2", 17);
  await world.lab.pod("client").play("send", { to: world.service(), count: 5 });
  await world.arrived(5, 5);
  await delay.remove();

  await world.recordBoth({ ...EVERYTHING, adaptive: { rttUs: 0, retransmits: 3 } });
  const loss = await world.lab.loss("node-1", "node-2", 0.05);
  const client = world.lab
    .pod("client")
    .play("send", { to: world.service(), count: 31, upload: 300_007, parallel: 31 });
  await client;
  await loss.remove();
  await world.allClosed(31);

  expect(world.near.records.length).toBeGreaterThan(0);
  expect(world.near.records.filter(({ retransmits }) => retransmits <= 3)).toEqual([]);
});

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
