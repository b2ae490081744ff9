/**
 * The stage for trouble: steady traffic between two nodes, a probe and an agent on each, and a Collector. A
 * test makes its trouble in between; in the end what the Collector holds must equal what the workload counted.
 *
 *   traffic starts ─► trouble ─► traffic ends ─► books equal ─► agents end (SIGTERM) ─► books still equal
 *
 * Equal after the end of the agents too: a sum that is right for a moment and wrong later is wrong.
 */
import { expect } from "vitest";
import type { Point } from "../../otlp/oracle.ts";
import { eventually, type LabProcess } from "../programs/process.ts";
import { startLab } from "../world/lab.ts";
import { type Build, type NodeAgent, startAgents } from "./agents.ts";
import { areEqual, booksOfPoints, booksOfTraffic } from "./books.ts";
import { Traffic, trafficPods } from "./traffic.ts";

export const INTERVAL_MS = 300;
/** Calls that take a few intervals: about 5 ms each. */
export const A_WHILE = 89;
/** Of a test. */
export const TIMEOUT_MS = 90_000;
const DEADLINE_MS = 20_000;

/** Whoever takes the points: one after the other, if it goes and comes back. */
export interface Collector {
  readonly endpoint: string;
  /** Everything it has kept, in the order in which it came. */
  points(): readonly Point[];
  close(): Promise<void>;
}

export interface Scene<C extends Collector> {
  readonly agents: readonly NodeAgent[];
  readonly traffic: Traffic;
  readonly collector: C;
  /** Makes these processes on each node disappear as `kill -9` does. */
  kill(...kinds: readonly ("agent" | "probe")[]): Promise<void>;
  startProbes(): Promise<void>;
  startAgents(): Promise<void>;
}

export interface Options {
  readonly intervalMs?: number;
  /** Of the agents. */
  readonly env?: Readonly<Record<string, string>>;
  /** What probes and agents are started with at first. */
  readonly build?: Build;
  /** Whether books must be right before the agents are told to end, too. */
  readonly endsWaiting?: boolean;
}

/** Makes the trouble while traffic runs, and expects that every book is right in the end. Closes `collector`. */
export async function exactThrough<C extends Collector>(
  collector: C,
  trouble: (scene: Scene<C>) => Promise<void>,
  { intervalMs = INTERVAL_MS, env = {}, endsWaiting = true, build }: Options = {},
): Promise<void> {
  const lab = await startLab(trafficPods());
  try {
    const agents = await startAgents(lab, { endpoint: collector.endpoint, intervalMs, env, ...(build && { build }) });
    const traffic = await Traffic.start(lab);
    await traffic.more(A_WHILE);
    await trouble(makeScene(agents, traffic, collector));
    await traffic.more(A_WHILE);

    const expected = booksOfTraffic(await traffic.stop());
    const said = () => withoutSpans(booksOfPoints(collector.points()));
    if (endsWaiting) {
      await holdsOrLate(() => areEqual(said(), expected));
      expect(said()).toEqual(expected);
    }
    expect(await endings(agents.map(({ agent }) => agent))).toEqual([0, 0]);
    await holdsOrLate(() => areEqual(said(), expected));
    expect(said()).toEqual(expected);
  } finally {
    await lab.close();
    await collector.close();
  }
}

/** What is killed takes records and spans with it, which are counted; of the metrics nothing may be lost. */
function withoutSpans<B extends { readonly losses: Readonly<Record<string, number>> }>(books: B): B {
  const ofMetrics = Object.entries(books.losses).filter(([reason]) => !/^span_|records/.test(reason));
  return { ...books, losses: Object.fromEntries(ofMetrics) };
}

/** SIGTERM to each. @returns exit codes */
export async function endings(processes: readonly LabProcess[]): Promise<(number | null)[]> {
  await Promise.all(processes.map((process) => process.stop("SIGTERM")));
  return Promise.all(processes.map(async ({ ended }) => (await ended).code));
}

/** Waits for a condition; whoever asks compares afterwards and shows the difference. */
async function holdsOrLate(holds: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + DEADLINE_MS;
  await eventually("never", () => holds() || performance.now() > giveUpMs, 2 * DEADLINE_MS);
}

function makeScene<C extends Collector>(agents: readonly NodeAgent[], traffic: Traffic, collector: C): Scene<C> {
  const onEach = async (act: (agent: NodeAgent) => Promise<unknown>) => {
    await Promise.all(agents.map(act));
  };
  return {
    agents,
    traffic,
    collector,
    kill: (...kinds) => onEach((agent) => Promise.all(kinds.map((kind) => agent[kind].stop("SIGKILL")))),
    startProbes: () => onEach((agent) => agent.startProbe()),
    startAgents: () => onEach((agent) => agent.startAgent()),
  };
}
