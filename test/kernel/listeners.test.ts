/**
 * Who listens lies in a table that all share. One tenant attacks it, as any user may, by listening on very many ports: beyond its
 * share its own connections have no process, and others' have theirs.
 *
 *   node-1: pods `attacker` and `victim`, each of which talks with itself
 */
import { statSync } from "node:fs";
import { afterEach, beforeEach, expect } from "vitest";
import { SAMPLE_NEVER } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { program } from "../lab/programs/run.ts";
import type { Workload } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
/** Of each of its processes another port; addresses of loopback are one edge. */
const FIRST = 10_000;
/** More than the table has room for; one tenant may have a half of it. */
const ATTACK = 20_011;
const SHARE = 16_384 / 2;
/** In one process: most hosts let a process have so many files. */
const OF_A_PROCESS = 4_003;
const UNPRIVILEGED = 65_534;
const PORT = 8080;
const COUNT = 23;

let lab: Lab;
let tally: Tally;
let victim: Workload;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "attacker" }, { key: "victim" }] }));
  tally = await Tally.start(lab, "node-1");
  await tally.record({
    ...{ activeTimeoutNs: 0n, traceKey: [1n, 2n], threshold: SAMPLE_NEVER, every: 1 },
    ...{ adaptive: undefined, rate: { perSecond: 0, burst: 0 } },
  });
  victim = await lab.pod("victim").serve({ listen: [{ port: PORT }], workers: 1 });
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("who listens on more ports than its share loses its own processes, and nobody else's", async () => {
  const attack = await listen("attacker", ATTACK);

  // The victim's listener has accepted nothing: where the least recently used one goes, it goes first.
  await talk("victim", PORT, COUNT);
  const younger = await lab.pod("victim").serve({ listen: [{ port: PORT + 1 }], workers: 1 });
  await talk("victim", PORT + 1, COUNT);
  const known = { processes: processesOf("victim"), losses: { ...tally.losses } };
  const own = await attack.processes([0, ATTACK - 1]);

  expect(known.processes).toEqual([
    ...Array(COUNT).fill(victim.process.pid),
    ...Array(COUNT).fill(younger.process.pid),
  ]);
  expect(known.losses).toEqual({});
  expect(own).toEqual([0, attack.pids[0]]);
  expect(tally.losses).toEqual({ process_unknown_detail: 1 });
});

test("a share of the listeners is counted exactly: it is free again when they have closed", async () => {
  for (let round = 0; round < 2; round++) {
    const attack = await listen("attacker", SHARE + 23);
    const known = await attack.processes([0, SHARE - 1, SHARE]);
    expect(known).toEqual([0, attack.pids[0] as number, attack.pids.at(-1) as number].toSorted((a, b) => a - b));
  }
  await talk("victim", PORT, COUNT);
  expect(processesOf("victim")).toEqual(Array(COUNT).fill(victim.process.pid));
});

interface Attack {
  readonly pids: readonly number[];
  /**
   * Connects to the listeners of these indexes, and ends all. It accepts nothing: so its ends close, and have records, when it ends.
   *
   * @returns who listened by each record, sorted; 0 where nobody knows
   */
  processes(indexes: readonly number[]): Promise<number[]>;
}

/** One process after the other, so that the last ports are those beyond the share. */
async function listen(pod: string, count: number): Promise<Attack> {
  const { place } = lab.pod(pod);
  const processes: LabProcess[] = [];
  for (let done = 0; done < count; done += OF_A_PROCESS) {
    const more = Math.min(OF_A_PROCESS, count - done);
    const argv = [program("flood"), "listeners", String(FIRST + processes.length), String(more)];
    const process = new LabProcess({ ...place, user: UNPRIVILEGED }, argv);
    processes.push(process);
    await eventually(
      () => `${more} listeners: ${process.describe()}`,
      () => process.stdout.includes(`done ${more} 0`),
      30_000,
    );
  }
  return {
    pids: processes.map(({ pid }) => pid),
    async processes(indexes) {
      const had = serverRecords(pod).length;
      for (const index of indexes) {
        const host = 2 + (index % OF_A_PROCESS);
        const port = FIRST + Math.floor(index / OF_A_PROCESS);
        await lab.pod(pod).exec(["bash", "-c", `exec 3<>/dev/tcp/127.0.${host >> 8}.${host & 255}/${port}`]);
      }
      await Promise.all(processes.map((process) => process.stop()));
      await recorded(pod, had + indexes.length);
      return processesOf(pod)
        .slice(had)
        .toSorted((a, b) => a - b);
    },
  };
}

/** Resolves when the server's records are there. */
async function talk(pod: string, port: number, count: number): Promise<void> {
  const had = serverRecords(pod).length;
  await lab.pod(pod).play("churn", { to: [{ address: "127.0.0.1", port }], count });
  await recorded(pod, had + count);
}

function recorded(pod: string, count: number): Promise<void> {
  return tally.until(
    () => `records of ${pod}: ${serverRecords(pod).length} of ${count}`,
    () => serverRecords(pod).length === count,
  );
}

function serverRecords(pod: string): Connection[] {
  const is = isOf(pod);
  return tally.records.filter(({ key }) => is(key) && key.role === "server");
}

/** Who listened, by each server's record; 0 where nobody knows. */
function processesOf(pod: string): number[] {
  return serverRecords(pod).map(({ pid }) => pid);
}

function isOf(pod: string): (key: EdgeKey) => boolean {
  const id = statSync(lab.pod(pod).place.cgroup, { bigint: true }).ino;
  return (key) => key.cgroup === id;
}
