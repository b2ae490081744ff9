/**
 * When records reach the agent: together where nobody waits for them, one by one where somebody does, and all of them
 * before the ring buffer is full.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { ProbeClient } from "../../../agent/source/probe-client.ts";
import { missing, needs } from "../../machine/needs.ts";
import { NodeAgent } from "../agents/agents.ts";
import { eventually } from "../programs/process.ts";
import { describe } from "../world/describe.ts";
import { type Lab, startLab } from "../world/lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
const PORT = 8080;
const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
/** Some 50 records and headers are a quarter of it, which the kernel does not wait for a second to say. */
const SMALL_RING = 64 * 1024;
/** The probe looks so often for records that nobody waits for. */
const LOOK_MS = 1_000;
/** Between two connections. */
const PACE_MS = 20;

let lab: Lab;
let probe: NodeAgent;
let client: ProbeClient;
/** When each record came, on performance.now(). */
const arrivals: number[] = [];

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
  probe = new NodeAgent(lab, "node-1", {
    endpoint: "http://127.0.0.1:1",
    probeArguments: ["--records-ring", String(SMALL_RING)],
  });
  await probe.startProbe();
  const listeners = { connection: () => void arrivals.push(performance.now()) };
  client = new ProbeClient({ path: probe.probeSocket, log: SILENT, listeners });
  await lab.pod("server").serve({ listen: [{ port: PORT }] });
});

afterAll(async () => {
  await client?.close();
  await probe?.stop();
  await probe?.unpin();
  await lab?.close();
});

/** @returns how many records came together, a number for each time that the agent had to wake for some */
async function together(recordsAtOnce: boolean, count: number, paceMs: number): Promise<number[]> {
  client.settings({ idleNs: 300_000_000_000n, records: true, recordsAtOnce });
  await client.exchange();
  arrivals.length = 0;
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
  await lab.pod("client").play("churn", { to, count, paceMs, workers: 1 });
  await eventually(
    () => `${2 * count} records, not ${arrivals.length}`,
    () => arrivals.length === 2 * count,
    5_000,
  );
  const groups: number[] = [];
  arrivals.forEach((atMs, i) => {
    const isNext = i === 0 || atMs - (arrivals[i - 1] as number) > PACE_MS / 4;
    if (isNext) groups.push(1);
    else groups[groups.length - 1] = (groups.at(-1) as number) + 1;
  });
  return groups;
}

test("records of 460 ms come together where nobody waits for them", async () => {
  const groups = await together(false, 23, PACE_MS);

  expect(groups.length).toBeLessThanOrEqual(2);
});

test("records come as connections end where somebody waits for them", async () => {
  const waitedMs: number[] = [];
  for (let i = 0; i < 5; i++) {
    const beganMs = performance.now();
    await together(true, 1, PACE_MS);
    waitedMs.push(Math.max(...arrivals) - beganMs);
  }

  // Looks alone would bring each but the first nearly a whole pause late: it begins as the one before it came.
  expect(waitedMs.filter((ms) => ms > LOOK_MS / 2)).toEqual([]);
});

test("records that fill more than the ring buffer within a second all come", async () => {
  const groups = await together(false, 503, 1);

  expect(groups.length).toBeGreaterThan(1);
  const { status } = (await client.exchange()) ?? {};
  expect(status?.losses).toMatchObject({ records_full: 0 });
});
