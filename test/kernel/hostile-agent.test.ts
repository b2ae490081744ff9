/**
 * Somebody has taken an agent over and speaks to the live probe, as the agent's user. The probe goes on counting, in bounded memory,
 * and the next honest agent gets everything exactly.
 *
 *   hostile agent ──► probe ──► honest agent (this process)        client ── lo ── server, meanwhile
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { Tally } from "../lab/agents/tally.ts";
import { LabProcess } from "../lab/programs/process.ts";
import { ROOT } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
const PORTS = Array.from({ length: 11 }, (_, i) => 8_080 + i);
const COUNT = 11 * 23;
const [UPLOAD, DOWNLOAD] = [1_009, 503];
/** Of the probe's own; the sanitizers' build has theirs, too. */
const MEMORY_MIB = process.env.FLOWSPAN_PROBE === undefined ? 48 : 256;

let lab: Lab;
let tally: Tally;
let pid: number;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
  tally = await Tally.start(lab, "node-1");
  await tally.take();
  pid = (await tally.client.hello()).probePid;
  await lab.pod("both", "server").serve({ listen: PORTS.map((port) => ({ port })) });
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

/** What it does, how often at least, and at most where the probe stops it; `refused`: the kernel counts each. */
const ATTACKS: readonly { attack: string; what: string; least: number; most?: number; refused?: boolean }[] = [
  { attack: "noCommands", what: "bytes that are no command", least: 150 },
  { attack: "halves", what: "halves of a command", least: 80 },
  { attack: "settleMore", what: "settles with more than there is", least: 500, refused: true },
  { attack: "settleOthers", what: "settles of edges, cgroups and namespaces that it never got", least: 1_000 },
  { attack: "settleEvidence", what: "settles of evidence that there is none of", least: 1_009 },
  { attack: "reportRecords", what: "reports of records that nobody has sent", least: 15 },
  { attack: "exchangesAtOnce", what: "a thousand exchanges at once, of which it gets one", least: 1, most: 1 },
  { attack: "neverRead", what: "exchanges that it never reads", least: 23 },
  { attack: "manyConnections", what: "two thousand connections", least: 2_000 },
  { attack: "settings", what: "settings at their ends, and as many prefix rules as fit", least: 4_097 },
];

for (const { attack, what, least, most = Infinity, refused = false } of ATTACKS)
  test(`after ${what}, the next agent has everything exactly`, async () => {
    const before = { ...tally.sum(), losses: { ...tally.losses } };
    let times = 0;
    await play();
    await tally.away(async () => {
      const [done] = await Promise.all([hostile(attack), play()]);
      times = done;
    });
    tally.client.prefixRules([]);
    await play();
    await tally.until(
      () => `closed: ${tally.sum().closed - before.closed}`,
      () => tally.sum().closed - before.closed === 2 * 3 * COUNT,
    );

    const { opened, bytesSent, bytesReceived } = tally.sum();
    const bytes = 3 * COUNT * (UPLOAD + DOWNLOAD);
    expect(times).toBeGreaterThanOrEqual(least);
    expect(times).toBeLessThanOrEqual(most);
    expect([opened - before.opened, bytesSent - before.bytesSent, bytesReceived - before.bytesReceived]).toEqual([
      2 * 3 * COUNT,
      bytes,
      bytes,
    ]);
    const settleRefused = (before.losses.settle_refused ?? 0) + (refused ? times : 0);
    expect(tally.losses).toEqual(settleRefused === 0 ? {} : { settle_refused: settleRefused });
    expect((await tally.client.hello()).probePid).toBe(pid);
    expect(peakMib()).toBeLessThanOrEqual(MEMORY_MIB);
  });

/** Performs it as the agent's user. @returns how often it did it */
async function hostile(attack: string): Promise<number> {
  const program = join(ROOT, "test/hostile/hostile-agent.ts");
  const argv = [process.execPath, "--disable-warning=ExperimentalWarning", program, tally.probe.probeSocket, attack];
  const agent = new LabProcess({ cgroup: lab.outsideCgroup, user: USER_AGENT }, argv);
  await agent.ended;
  const [, times] = /^done (\d+)$/.exec(agent.stdout.at(-1) ?? "") ?? [];
  expect(times, agent.describe()).toBeDefined();
  return Number(times);
}

async function play(): Promise<void> {
  const to = PORTS.map((port) => ({ address: "127.0.0.1", port }));
  await lab.pod("both", "client").play("send", { to, count: COUNT, upload: UPLOAD, download: DOWNLOAD });
}

/** The most that the probe has ever had resident. */
function peakMib(): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
