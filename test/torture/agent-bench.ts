/**
 * Runs many programs at once under one probe and a real agent, and gives for each what happened and what a Collector holds
 * of it. Each batch has an agent of its own, cumulative and delta in turn, and every connection is a span.
 *
 *   interpreters ─ kernel ─ probe ─ agent ─ OTLP ─ receiver ─► spans and series by container ─► compare
 *
 * In every other pair of batches puppet a lives on another node than b and c, and two agents see a connection's two ends.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { exchangesOf, statusOf } from "../lab/agents/agent-status.ts";
import { NodeAgent } from "../lab/agents/agents.ts";
import { ReturningReceiver } from "../lab/agents/returning-receiver.ts";
import { configDirectory, configText, replaceFile } from "../lab/agents/span-lab.ts";
import { eventually } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { startWitness } from "../machine/witness.ts";
import { kernelLosses } from "./agent-books.ts";
import { ProgramCgroups } from "./agent-cgroups.ts";
import type { Temporality } from "./agent-metrics.ts";
import { type Heard, isOfCutSeries, resultOf } from "./agent-result.ts";
import { type Aftermath, type AgentUpheaval, UPHEAVALS } from "./agent-upheavals.ts";
import type { BatchResult } from "./batch.ts";
import { Interpreter } from "./interpreter.ts";
import { type Bench, failuresOf } from "./judge.ts";
import { KNOWN } from "./known.ts";
import type { Program } from "./program.ts";

const NODES = ["node-1", "node-2"] as const;
const INTERVAL_MS = 250;
const TEMPORALITIES = ["cumulative", "delta"] as const;
const DEADLINE_MS = 40_000;

/** One batch while it runs. */
interface Running {
  readonly batch: number;
  readonly temporality: Temporality;
  readonly receiver: ReturningReceiver;
  /** One for all puppets, or one for puppet a and one for the others. */
  readonly agents: readonly NodeAgent[];
  readonly cgroups: readonly ProgramCgroups[];
  readonly interpreters: readonly Interpreter[];
}

export class AgentBench implements Bench<AgentUpheaval> {
  /** What the probe read of a namespace's books is in no point: coverage is made of it. */
  readonly known: ReadonlySet<string> = new Set([...KNOWN, "namespace"]);
  readonly #lab: Lab;
  readonly #directory: string;
  readonly #probes: readonly NodeAgent[];
  #batches = 0;
  /** Of kernel and probe, which count since their maps were made. */
  #losses: Readonly<Record<string, number>> = {};

  private constructor(lab: Lab, directory: string) {
    this.#lab = lab;
    this.#directory = directory;
    this.#probes = NODES.map((node) => new NodeAgent(lab, node, { endpoint: "" }));
  }

  static async start(): Promise<AgentBench> {
    const lab = await startLab(describe({ nodes: NODES.length, pods: [] }));
    const bench = new AgentBench(lab, configDirectory());
    try {
      for (const probe of bench.#probes) await probe.startProbe();
      return bench;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const each of this.#probes) await each.probes.at(-1)?.stop();
    await this.#lab.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async run(programs: readonly Program[], upheaval: AgentUpheaval): Promise<BatchResult> {
    const result = resultOf(await this.perform(programs, upheaval));
    // A series that was cut is one of hundreds: it is not the same one again.
    const isCut = UPHEAVALS[upheaval].mayCut && isOfCutSeries(failuresOf(result, this.known));
    return isCut ? resultOf(await this.perform(programs, upheaval)) : result;
  }

  /** @throws Error when an interpreter does not end in time, or what was sent is not in the registry */
  async perform(programs: readonly Program[], upheaval: AgentUpheaval): Promise<Heard> {
    const witness = startWitness();
    const running = await this.#prepare(programs.length);
    const { batch, temporality, receiver, interpreters, agents } = running;
    try {
      await begin(running);
      for (const [i, program] of programs.entries()) interpreters[i]?.begin(program);
      const aftermath = await this.#passBarriers(running, upheaval);
      await Promise.all(interpreters.map((each) => each.untilEnd()));
      await aftermath.comeBack?.();
      await settle(running);
      const traces = interpreters.map((each) => each.trace());
      const { justTaken = 0 } = aftermath;
      const [spans, points, hidden] = [receiver.spans, receiver.points(), witness.stop()];
      const lossesBefore = this.#losses;
      this.#losses = { ...lossesBefore, ...kernelLosses(points) };
      const befell = UPHEAVALS[upheaval];
      const heard = { batch, temporality, agents: agents.length, programs, traces, spans, points };
      return { ...heard, befell, justTaken, lossesBefore, hidden };
    } finally {
      await end(running);
    }
  }

  get #config(): string {
    return join(this.#directory, "flowspan.yaml");
  }

  async #prepare(count: number): Promise<Running> {
    const batch = this.#batches++;
    const temporality = TEMPORALITIES[batch % TEMPORALITIES.length] ?? "cumulative";
    replaceFile(this.#config, configText({ metrics: { temporality_preference: temporality } }));
    const receiver = await ReturningReceiver.start();
    const setup = {
      endpoint: receiver.endpoint,
      endpointByVariable: true,
      intervalMs: INTERVAL_MS,
      agentArguments: ["--config", this.#config],
    };
    const nodes = (batch >> 1) % 2 === 0 ? NODES.slice(0, 1) : NODES;
    const agents = nodes.map((node) => new NodeAgent(this.#lab, node, setup));
    const [ofA = "", ofOthers = ofA] = nodes.map((node) => this.#lab.nodeCgroup(node));
    const cgroups = Array.from({ length: count }, (_, program) => {
      const directory = join(this.#directory, `${batch}-${program}`);
      return new ProgramCgroups({ a: ofA, b: ofOthers, c: ofOthers }, directory, { batch, program });
    });
    const interpreters = cgroups.map(({ directory }) => new Interpreter(directory));
    return { batch, temporality, receiver, agents, cgroups, interpreters };
  }

  /** All programs that have a barrier wait there for each other; the agent's lot befalls it before they go on, or after. */
  async #passBarriers({ interpreters, agents, receiver }: Running, upheaval: AgentUpheaval): Promise<Aftermath> {
    const waiting = interpreters.filter(({ barriers }) => barriers > 0);
    await Promise.all(waiting.map((each) => each.untilBarrier(0)));
    const { isAmid, befall } = UPHEAVALS[upheaval];
    const goOn = () => {
      for (const each of waiting) each.goOnToTheEnd();
    };
    if (isAmid) goOn();
    const aftermath = await befall({ probe: this.#probes[0] as NodeAgent, agent: agents[0] as NodeAgent, receiver });
    if (!isAmid) goOn();
    return aftermath;
  }
}

/** The agent has seen each program's namespace before anything happens in it. */
async function begin({ agents, interpreters }: Running): Promise<void> {
  await Promise.all(agents.map((each) => each.startAgent()));
  await Promise.all(interpreters.map((each) => each.untilStart()));
  await exchanges(agents, 2);
}

/** All spans are with the Collector; the agent's last exchange has all that was left. */
async function settle({ agents }: Running): Promise<void> {
  await exchanges(agents, 2);
  let observed = -1;
  await eventually(
    "all spans to be taken",
    async () => {
      const stats = (await Promise.all(agents.map(statusOf))).map(({ spans }) => spans);
      const now = stats.reduce((sum, each) => sum + each.observed, 0);
      const isQuiet = now === observed && stats.every(({ pending }) => pending === 0);
      observed = now;
      if (!isQuiet) await exchanges(agents, 1);
      return isQuiet;
    },
    DEADLINE_MS,
  );
  await Promise.all(agents.map(({ agent }) => agent.stop("SIGTERM")));
}

async function exchanges(agents: readonly NodeAgent[], count: number): Promise<void> {
  await Promise.all(agents.map((each) => exchangesOf(each, count, DEADLINE_MS)));
}

async function end({ agents, receiver, interpreters, cgroups }: Running): Promise<void> {
  for (const each of agents) if (each.agents.at(-1)?.isRunning) await each.agent.stop("SIGKILL");
  await Promise.all(interpreters.map((each) => each.leave()));
  await Promise.all(cgroups.map((each) => each.remove()));
  await receiver.close();
}
