/**
 * Runs many programs at once, each in its own net namespace and its own three cgroups, under one probe, and gives for each
 * what happened and what flowspan said of it.
 *
 *   interpreters (test/torture/interpreter/torture.c) ── all done ──► one exchange ──► edges and records by namespace ──► they leave
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { startWitness } from "../machine/witness.ts";
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import type { Seen } from "./compare.ts";
import { Interpreter } from "./interpreter.ts";
import type { Bench } from "./judge.ts";
import { KNOWN } from "./known.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";
import { beginsAlone, type Phase, passBarriers, phasesOf, type Upheaval } from "./upheaval.ts";
import { type Losses, NODE, Watch } from "./watch.ts";

/** One program that was performed. */
export interface Performed {
  readonly program: Program;
  readonly trace: Trace;
  /** By the probe that was there at its end. */
  readonly seen: Seen;
  /** What differs beyond that, each sentence under the name of its check. */
  readonly beyond?: readonly string[];
  /** By each probe that came late or went early; undefined where one was there all the time. */
  readonly phases?: readonly Phase[] | undefined;
  /** What a Collector got of it, point by point in the order in which they came. */
  readonly points?: readonly ReceivedPoint[];
}

export interface BatchResult {
  readonly performed: readonly Performed[];
  /** Losses by name that this batch has added. */
  readonly losses: Losses;
  /** Records that may be told as lost though they came; none where left out. */
  readonly spare?: number;
  /** What differs, of no program in particular. */
  readonly beyond?: readonly string[];
  /** State changes that this machine's kernel has hidden from BPF meanwhile (test/machine/witness.ts). */
  readonly hidden: number;
}

export class TortureBench implements Bench<Upheaval> {
  readonly known = KNOWN;
  readonly #lab: Lab;
  readonly #watch: Watch;
  /*
   * The kernel stamps packets only while somebody wants it, and begins to a while after the first one does: an interpreter
   * without a program keeps that on.
   */
  readonly #keeper: Interpreter;

  private constructor(lab: Lab) {
    this.#lab = lab;
    this.#watch = new Watch(lab);
    this.#keeper = new Interpreter(this.#cgroups(0), []);
  }

  static async start(): Promise<TortureBench> {
    const lab = await startLab(describe({ nodes: 1, pods: [] }));
    try {
      const bench = new TortureBench(lab);
      await bench.#watch.start();
      await bench.#keeper.untilEnd();
      return bench;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async run(programs: readonly Program[], upheaval: Upheaval = "none"): Promise<BatchResult> {
    const witness = startWitness();
    this.#watch.clear();
    if (beginsAlone(upheaval)) await this.#watch.remove();
    const running = programs.map((program, i) => new Interpreter(this.#cgroups(i), program));
    try {
      const earlier = await passBarriers(running, upheaval, this.#watch);
      await Promise.all(running.map((each) => each.untilEnd()));
      const last = await this.#watch.seen(running.map(({ netns }) => netns));
      return {
        performed: programs.map((program, i) => {
          const trace = (running[i] as Interpreter).trace();
          const seen = last[i] as Seen;
          return { program, trace, seen, phases: phasesOf(upheaval, program, trace, earlier?.[i], seen) };
        }),
        losses: this.#watch.losses(),
        hidden: witness.stop(),
      };
    } finally {
      await Promise.all(running.map((each) => each.leave()));
    }
  }

  async close(): Promise<void> {
    await this.#keeper.leave();
    await this.#watch.close();
    await this.#lab.close();
  }

  #cgroups(i: number): string {
    const directory = join(this.#lab.nodeCgroup(NODE), "system.slice", `torture-${i}.slice`);
    for (const name of ["a", "b", "c"]) mkdirSync(join(directory, name), { recursive: true });
    return directory;
  }
}
