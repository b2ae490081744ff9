/**
 * How busy the machine is with other work: what all CPUs did in a second in which the benchmark does nothing. Times of a
 * busy machine are those of its other work, too.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const LOOK_MS = 1000;
/** Cores; below it, what there is is the machine's own housekeeping. */
export const QUIET = 0.1;

/**
 * @param looks the most that are taken: what a benchmark leaves to the kernel to remove takes seconds
 * @returns busy cores in the first quiet second from now, or in the last one
 */
export async function busyCores(looks: number): Promise<number> {
  for (let look = 1; ; look++) {
    const busy = await busySecond();
    if (busy <= QUIET || look >= looks) return busy;
  }
}

async function busySecond(): Promise<number> {
  const before = readCpuTimes(readFileSync("/proc/stat", "utf8"));
  await delay(LOOK_MS);
  return coresBetween(before, readCpuTimes(readFileSync("/proc/stat", "utf8")));
}

/** Ticks since the boot. */
export interface CpuTimes {
  readonly busy: number;
  readonly idle: number;
  readonly cpus: number;
}

/** @param stat the text of /proc/stat: user nice system idle iowait irq softirq steal, of which guests are a part */
export function readCpuTimes(stat: string): CpuTimes {
  const ticks = /^cpu +(.+)$/m.exec(stat)?.[1]?.split(" ").map(Number);
  if (ticks === undefined || ticks.length < 8) throw new Error("/proc/stat has no line of all CPUs");
  const [user, nice, system, idle, waiting, irq, softirq, steal] = ticks as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    busy: user + nice + system + irq + softirq + steal,
    idle: idle + waiting,
    cpus: stat.match(/^cpu\d+ /gm)?.length ?? 0,
  };
}

export function coresBetween(before: CpuTimes, after: CpuTimes): number {
  const busy = after.busy - before.busy;
  return (busy / (busy + after.idle - before.idle || 1)) * after.cpus;
}
