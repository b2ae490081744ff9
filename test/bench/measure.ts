/**
 * Readings of the machine: CPU time and memory of processes and cgroups, the clock of the kernel's events,
 * and the statistics of BPF programs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProgramStats } from "../../agent/model/probe-event.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { program } from "../lab/programs/run.ts";

/** How much each benchmark does: a run to publish, or one that only shows that all still works. */
export interface Scale {
  readonly quick: boolean;
}

/** CPU of all that ever ran in a cgroup, with the network's softirqs that ran on its back. */
export function cgroupCpuUs(directory: string): number {
  return Number(/^usage_usec (\d+)$/m.exec(readFileSync(join(directory, "cpu.stat"), "utf8"))?.[1]);
}

/** CPU of all threads that a process has now, in microseconds. */
export function processCpuUs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return ns.reduce((sum, each) => sum + each, 0) / 1000;
}

/** What of a process is in memory, and how much of that are pages of files: they are shared and can be dropped. */
export interface Resident {
  readonly allBytes: number;
  readonly fileBytes: number;
}

export function processResident(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  return { allBytes: bytes("VmRSS"), fileBytes: bytes("RssFile") };
}

export function processRssBytes(pid: number): number {
  return processResident(pid).allBytes;
}

/**
 * The clock of the kernel's events, CLOCK_BOOTTIME, in nanoseconds: Node's own clock is CLOCK_MONOTONIC,
 * which differs by the time that the machine has slept.
 */
export function bootClock(): () => bigint {
  const uptimeMs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  const monotonicMs = Number(process.hrtime.bigint() / 1_000_000n);
  if (Math.abs(uptimeMs - monotonicMs) > 15)
    throw new Error("this machine has been suspended since it booted: latencies cannot be measured, boot it first");
  return () => process.hrtime.bigint();
}

const BPF_STATS = "/proc/sys/kernel/bpf_stats_enabled";

/** Whether the kernel measures BPF programs always, which itself costs some 50 ns a run. */
export function bpfStatsAreOn(): boolean {
  return readFileSync(BPF_STATS, "utf8").trim() !== "0";
}

/** Has the kernel measure BPF programs while `body` runs. */
export async function withBpfStats<T>(body: () => Promise<T>): Promise<T> {
  const switched = new LabProcess({}, [program("bpf-stats")]);
  try {
    await eventually(
      () => `the kernel's statistics of BPF programs: ${switched.describe()}`,
      () => {
        if (!switched.isRunning) throw new Error(switched.describe());
        return switched.stdout.includes("on");
      },
    );
    return await body();
  } finally {
    await switched.stop();
  }
}

/** What the hooks have cost between two readings. */
export interface HookCost {
  readonly runs: number;
  readonly ns: number;
  /** Of `ns`, what measuring a run costs by itself: the time of a program that returns at once. */
  readonly overheadNs: number;
}

/** Programs that no socket's event runs: iterators, and what the probe runs itself. */
const NO_HOOKS = new Set(["walk", "adopt", "adopt_listeners", "namespaces", "settle", "clock"]);
const RETURNS_AT_ONCE = "set_state_twin";

export function hookCost(before: readonly ProgramStats[], after: readonly ProgramStats[]): HookCost {
  const grown = after
    .filter(({ name }) => !NO_HOOKS.has(name))
    .map(({ name, runs, runTimeNs }) => {
      const old = before.find((each) => each.name === name);
      return { name, runs: runs - (old?.runs ?? 0), ns: runTimeNs - (old?.runTimeNs ?? 0) };
    });
  const twin = grown.find(({ name }) => name === RETURNS_AT_ONCE);
  if (twin === undefined || twin.runs === 0) throw new Error(`${RETURNS_AT_ONCE} did not run: nothing to compare with`);
  const runs = grown.reduce((sum, each) => sum + each.runs, 0);
  return { runs, ns: grown.reduce((sum, each) => sum + each.ns, 0), overheadNs: (runs * twin.ns) / twin.runs };
}

export function percentile(values: readonly number[], share: number): number {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
