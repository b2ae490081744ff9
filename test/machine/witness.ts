/**
 * A second witness of TCP's state changes and of neighbours that fail, for a machine whose kernel hides its PID 1 from BPF.
 *
 * On the sandboxes where this project is built, tracing programs do not run while a thread of PID 1 is the
 * current task, so that a softirq which interrupts it changes sockets unseen (ARCHITECTURE.md, "What is
 * lost where"). The kernel's own trace events have no such rule. This counts the events that fell on such a
 * moment, in an instance of tracefs of its own: what a hook may have missed, and why, is then known.
 *
 *     const witness = startWitness();   …   const hidden = witness.stop();
 *     const result = await untilNothingHidden(async (attempt) => …);
 */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadFiles } from "../../agent/shared/procfs.ts";

const TRACEFS = "/sys/kernel/tracing";
const NUD_FAILED = 0x20;
/** And which of them, where not all matter. */
const EVENTS: readonly (readonly [event: string, condition?: string])[] = [
  ["sock/inet_sock_set_state"],
  ["tcp/tcp_retransmit_skb"],
  ["tcp/tcp_retransmit_synack"],
  ["tcp/tcp_send_reset"],
  ["tcp/tcp_receive_reset"],
  ["neigh/neigh_timer_handler", `nud_state == ${NUD_FAILED}`],
];

/** Segments that one tcp_retransmit_skb may send: 64 KiB at an Ethernet's 1448 bytes of payload. */
export const SEGMENTS_AT_ONCE = 46;

export interface Witness {
  /** Ends the count. @returns events that happened while PID 1 was the current task */
  stop(): number;
}

/** A case that hides something so often is left to scripts/test, which repeats its file (test/machine/hidden.ts). */
const ATTEMPTS = 5;

/**
 * Plays a case again and again until the machine hid nothing from BPF meanwhile: only then what it says counts.
 *
 * @param play the case, its expectations within; each attempt needs a port of its own
 * @throws what the attempt threw that nothing was hidden from; Error when something was hidden from each of the attempts
 */
export async function untilNothingHidden<Result>(
  play: (attempt: number) => Promise<Result>,
  start: () => Witness = startWitness,
): Promise<Result> {
  const hidden: number[] = [];
  let last: PromiseSettledResult<Result> | undefined;
  while (hidden.length < ATTEMPTS) {
    const witness = start();
    [last] = await Promise.allSettled([play(hidden.length)]);
    const count = witness.stop();
    if (count === 0 && last.status === "fulfilled") return last.value;
    if (count === 0 && last.status === "rejected") throw last.reason;
    hidden.push(count);
  }
  const said = `the machine hid state changes from BPF in each of ${ATTEMPTS} attempts (${hidden.join(", ")}): none counts`;
  throw new Error(said, { cause: last?.status === "rejected" ? last.reason : undefined });
}

let witnesses = 0;

/** @throws Error when tracefs cannot be used: root is needed, and CONFIG_FTRACE */
export function startWitness(): Witness {
  const instances = join(tracefs(), "instances");
  removeLeftovers(instances);
  const instance = join(instances, `flowspan-${process.pid}-${++witnesses}`);
  mkdirSync(instance);
  // As tracefs wants it: a name is compared with the current task's, in quotes.
  const hidden = namesOfPid1().map((name) => `COMM == "${name}"`);
  for (const [event, condition] of EVENTS) {
    const directory = join(instance, "events", event);
    const any = `(${hidden.join(" || ")})`;
    writeFileSync(join(directory, "filter"), condition === undefined ? any : `${any} && ${condition}`);
    writeFileSync(join(directory, "enable"), "1");
  }
  return {
    stop() {
      writeFileSync(join(instance, "tracing_on"), "0");
      const seen = readdirSync(join(instance, "per_cpu")).map((cpu) => events(join(instance, "per_cpu", cpu, "stats")));
      rmdirSync(instance);
      return seen.reduce((sum, each) => sum + each, 0);
    },
  };
}

/** Instances of processes that were killed. Other processes may remove the same ones at this moment. */
function removeLeftovers(instances: string): void {
  for (const name of readdirSync(instances)) {
    const [, pid] = /^flowspan-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    try {
      rmdirSync(join(instances, name));
    } catch (error) {
      if (readdirSync(instances).includes(name)) throw error;
    }
  }
}

/** Where tracefs is mounted; mounts it where it is not. */
function tracefs(): string {
  if (!readFileSync("/proc/self/mounts", "utf8").includes(` ${TRACEFS} tracefs `)) {
    execFileSync("mount", ["-t", "tracefs", "flowspan-tracefs", TRACEFS]);
  }
  return TRACEFS;
}

function namesOfPid1(): string[] {
  return [...new Set(threadFiles(1, "comm").map((name) => name.trim()))];
}

/** Kept and overwritten ones alike. */
function events(stats: string): number {
  const counts = [...readFileSync(stats, "utf8").matchAll(/^(?:entries|overrun): (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
