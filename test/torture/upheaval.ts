/**
 * What happens to a probe while the programs of a batch wait at their barriers, and which parts of a program it then knows.
 *
 *           program begins      first barrier      second barrier      program ends
 *   upgrade ─ probe ────────────── next takes over ─────────────────────────►
 *   kill    ─ probe ────────────── X, next takes over ──────────────────────►
 *   reader  ─ probe ────────────── its reader goes in the middle of an exchange, and the next one comes ─►
 *   late                           probe, adopts ───────────────────────────►
 *   gap     ─ probe ────────────── taken away        probe, adopts ─────────►
 */
import type { Seen } from "./compare.ts";
import type { Interpreter } from "./interpreter.ts";
import { BARRIER, type Program } from "./program.ts";
import type { Trace } from "./trace.ts";
import type { Watch } from "./watch.ts";
import { type Edge, edgeAt, type Window } from "./window.ts";

export const UPHEAVALS = ["none", "upgrade", "kill", "reader", "late", "gap"] as const;
export type Upheaval = (typeof UPHEAVALS)[number];

/** What a probe said that was there for a part of the program. */
export interface Phase {
  readonly window: Window;
  readonly seen: Seen;
}

/** Whether nothing must be left of a probe when the programs begin. */
export function beginsAlone(upheaval: Upheaval): boolean {
  return upheaval === "late";
}

/**
 * Lets all pass their barriers, each when all others that have one stand there.
 *
 * @returns what was said by the probe that was taken away, if one was, in the order of the interpreters
 */
export async function passBarriers(
  running: readonly Interpreter[],
  upheaval: Upheaval,
  watch: Watch,
): Promise<readonly Seen[] | undefined> {
  let earlier: readonly Seen[] | undefined;
  for (let barrier = 0; ; barrier++) {
    const waiting = running.filter(({ barriers }) => barriers > barrier);
    if (waiting.length === 0) break;
    await Promise.all(waiting.map((each) => each.untilBarrier(barrier)));
    earlier = (await befall(upheaval, barrier, running, waiting, watch)) ?? earlier;
    for (const each of waiting) each.goOn();
  }
  // They had fewer barriers than it takes.
  if (!watch.isThere) await watch.start();
  return earlier;
}

async function befall(
  upheaval: Upheaval,
  barrier: number,
  running: readonly Interpreter[],
  waiting: readonly Interpreter[],
  watch: Watch,
): Promise<readonly Seen[] | undefined> {
  if (barrier === 0 && (upheaval === "upgrade" || upheaval === "kill")) await watch.replace(upheaval === "kill");
  if (upheaval === "reader") await watch.replaceReader();
  const comes = (upheaval === "late" && barrier === 0) || (upheaval === "gap" && barrier === 1);
  const goes = upheaval === "gap" && barrier === 0;
  if (!comes && !goes) return undefined;
  await Promise.all(waiting.map((each) => each.look()));
  const seen = goes ? await watch.seen(running.map(({ netns }) => netns)) : undefined;
  await (goes ? watch.remove() : watch.start());
  await Promise.all(waiting.map((each) => each.look()));
  return seen;
}

/**
 * What each probe said of its part of the program; undefined where one was there all the time.
 *
 * @param earlier by the probe that was taken away
 * @param last by the one that was there at the end
 */
export function phasesOf(
  upheaval: Upheaval,
  program: Program,
  trace: Trace,
  earlier: Seen | undefined,
  last: Seen,
): Phase[] | undefined {
  if (upheaval !== "late" && upheaval !== "gap") return undefined;
  const lines = program.flatMap((line, i) => (line === BARRIER ? [i] : []));
  const [first, second] = lines.map((line) => edgeAt(trace, line));
  const phases: Phase[] = [];
  const add = (seen: Seen, start: Edge | undefined, end: Edge | undefined) => {
    if (start || end) phases.push({ window: { start, end }, seen });
  };
  if (upheaval === "late") add(last, first, undefined);
  else {
    if (earlier) add(earlier, undefined, first);
    add(last, second, undefined);
  }
  return phases;
}
