/**
 * Runs many programs at once, each in its own net namespace and its own three cgroups, under one probe, and gives for each
 * what happened and what flowspan said of it.
 *
 *   interpreters (test/lab/torture.c) ── all done ──► one exchange ──► edges and records by namespace ──► they leave
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { EdgeKey } from "../../agent/model/edge.ts";
import { SourceError } from "../../agent/source/source.ts";
import { describe } from "../lab/describe.ts";
import { type Lab, startLab } from "../lab/lab.ts";
import { eventually } from "../lab/process.ts";
import { type EdgeSum, Tally } from "../lab/tally.ts";
import { startWitness } from "../witness.ts";
import type { Seen } from "./compare.ts";
import { Interpreter } from "./interpreter.ts";
import type { Bench } from "./judge.ts";
import { KNOWN } from "./known.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";

/** One program that was performed. */
export interface Performed {
  readonly program: Program;
  readonly trace: Trace;
  readonly seen: Seen;
  /** What differs beyond that, each sentence under the name of its check. */
  readonly beyond?: readonly string[];
}

export interface BatchResult {
  readonly performed: readonly Performed[];
  /** Losses by name that this batch has added. */
  readonly losses: Readonly<Record<string, number>>;
  /** Records that may be told as lost though they came; none where left out. */
  readonly spare?: number;
  /** What differs, of no program in particular. */
  readonly beyond?: readonly string[];
  /** State changes that this machine's kernel has hidden from BPF meanwhile (test/witness.ts). */
  readonly hidden: number;
}

/*
 * The kernel stamps packets only while somebody wants it, and begins to a while after the first one does: an interpreter
 * without a program keeps that on.
 */

/** What happens to probes while the programs of a batch wait at their `. barrier`. */
export type Upheaval = "none" | "upgrade" | "kill";

const NODE = "node-1";
/** Longer than the probe lets records gather (bpf/probe/pace.h). */
const GATHER_MS = 50;
const RECORDING = {
  stretchNs: 0n,
  traceKey: [0x23n, 0x29n] as const,
  threshold: 1n << 56n,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};

export class TortureBench implements Bench<Upheaval> {
  readonly known = KNOWN;
  readonly #lab: Lab;
  readonly #tally: Tally;
  readonly #keeper: Interpreter;
  #losses: Readonly<Record<string, number>> = {};

  private constructor(lab: Lab, tally: Tally) {
    this.#lab = lab;
    this.#tally = tally;
    this.#keeper = new Interpreter(this.#cgroups(0), []);
  }

  static async start(): Promise<TortureBench> {
    const lab = await startLab(describe({ nodes: 1, pods: [] }));
    try {
      const tally = await Tally.start(lab, NODE);
      await tally.record(RECORDING);
      const bench = new TortureBench(lab, tally);
      await bench.#keeper.until("end");
      return bench;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async run(programs: readonly Program[], upheaval: Upheaval = "none"): Promise<BatchResult> {
    const witness = startWitness();
    this.#tally.edges.clear();
    this.#tally.records.length = 0;
    const running = programs.map((program, i) => new Interpreter(this.#cgroups(i), program));
    try {
      await this.#passBarriers(running, upheaval);
      await Promise.all(running.map((each) => each.until("end")));
      const seen = await this.#seen(running.map(({ netns }) => netns));
      const traces = running.map((each) => each.trace());
      const losses = this.#newLosses();
      return {
        performed: programs.map((program, i) => ({
          program,
          trace: traces[i] as Trace,
          seen: seen[i] as Seen,
        })),
        losses,
        hidden: witness.stop(),
      };
    } finally {
      await Promise.all(running.map((each) => each.leave()));
    }
  }

  async close(): Promise<void> {
    await this.#keeper.leave();
    await this.#tally.close();
    await this.#lab.close();
  }

  #cgroups(i: number): string {
    const directory = join(this.#lab.nodeCgroup(NODE), "system.slice", `torture-${i}.slice`);
    for (const name of ["a", "b", "c"]) mkdirSync(join(directory, name), { recursive: true });
    return directory;
  }

  /** All programs that have a barrier wait there for each other; then the probe's lot befalls it, and they go on. */
  async #passBarriers(running: readonly Interpreter[], upheaval: Upheaval): Promise<void> {
    const waiting = running.filter(({ barriers }) => barriers > 0);
    if (waiting.length === 0) return;
    await Promise.all(waiting.map((each) => each.until("barrier")));
    if (upheaval === "kill") await this.#tally.probe.probe.stop("SIGKILL");
    if (upheaval !== "none") {
      await this.#tally.probe.startProbe();
      await this.#reconnect();
    }
    for (const each of waiting) each.goOn();
  }

  /** The reader finds the next probe by itself; until then its exchanges fail, and lose nothing. */
  async #reconnect(): Promise<void> {
    await eventually("an exchange with the next probe", async () => {
      try {
        await this.#tally.take();
        return true;
      } catch (error) {
        if (error instanceof SourceError) return false;
        throw error;
      }
    });
  }

  /** Rows and records may come in two: what closes after a walk has passed is in the next. */
  async #seen(namespaces: readonly number[]): Promise<Seen[]> {
    await this.#tally.take();
    let records = -1;
    await eventually("records to be quiet", async () => {
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      await this.#tally.take();
      const quiet = records === this.#tally.records.length;
      records = this.#tally.records.length;
      return quiet;
    });
    const of = <T extends { readonly key: EdgeKey }>(list: Iterable<T>) => {
      const groups = new Map<number, T[]>(namespaces.map((netns) => [netns, []]));
      for (const each of list) groups.get(each.key.netns)?.push(each);
      return groups;
    };
    const edges = of<EdgeSum>(this.#tally.edges.values());
    const byNamespace = of(this.#tally.records);
    const books = new Map(this.#tally.last.namespaces.map((each) => [each.netns, each]));
    return namespaces.map((netns) => ({
      edges: edges.get(netns) ?? [],
      records: byNamespace.get(netns) ?? [],
      namespace: books.get(netns),
    }));
  }

  #newLosses(): Record<string, number> {
    const now = this.#tally.losses;
    const before = this.#losses;
    this.#losses = now;
    const growth = Object.entries(now).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
    return Object.fromEntries(growth.filter(([, count]) => count > 0));
  }
}
