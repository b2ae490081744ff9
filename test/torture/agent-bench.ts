/**
 * Runs many programs at once under one probe and a real agent, and gives for each what happened and what a Collector holds
 * of it. Each batch has an agent of its own, cumulative and delta in turn, and every connection is a span.
 *
 *   interpreters ─ kernel ─ probe ─ agent ─ OTLP ─ receiver ─► spans and series by container ─► compare
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { NodeAgent } from "../lab/agents.ts";
import { describe } from "../lab/describe.ts";
import { type Lab, startLab } from "../lab/lab.ts";
import { eventually } from "../lab/process.ts";
import { ReturningReceiver } from "../lab/returning-receiver.ts";
import { configDirectory, configText, replaceFile, statusOf } from "../lab/span-lab.ts";
import { startWitness } from "../witness.ts";
import { kernelLosses } from "./agent-books.ts";
import { ProgramCgroups } from "./agent-cgroups.ts";
import type { Temporality } from "./agent-metrics.ts";
import { type Heard, resultOf } from "./agent-result.ts";
import { type Aftermath, type AgentUpheaval, UPHEAVALS } from "./agent-upheavals.ts";
import type { BatchResult } from "./batch.ts";
import { Interpreter } from "./interpreter.ts";
import type { Bench } from "./judge.ts";
import { KNOWN } from "./known.ts";
import type { Program } from "./program.ts";

const NODE = "node-1";
const INTERVAL_MS = 250;
const TEMPORALITIES = ["cumulative", "delta"] as const;
const DEADLINE_MS = 40_000;

/** One batch while it runs. */
interface Running {
  readonly batch: number;
  readonly temporality: Temporality;
  readonly receiver: ReturningReceiver;
  readonly node: NodeAgent;
  readonly cgroups: readonly ProgramCgroups[];
  readonly interpreters: readonly Interpreter[];
}

export class AgentBench implements Bench<AgentUpheaval> {
  /** What the probe read of a namespace's books is in no point: coverage is made of it. */
  readonly known: ReadonlySet<string> = new Set([...KNOWN, "namespace"]);
  readonly #lab: Lab;
  readonly #directory: string;
  readonly #probe: NodeAgent;
  #batches = 0;
  /** Of kernel and probe, which count since their maps were made. */
  #losses: Readonly<Record<string, number>> = {};

  private constructor(lab: Lab, directory: string) {
    this.#lab = lab;
    this.#directory = directory;
    this.#probe = new NodeAgent(lab, NODE, { endpoint: "" });
  }

  static async start(): Promise<AgentBench> {
    const lab = await startLab(describe({ nodes: 1, pods: [] }));
    const bench = new AgentBench(lab, configDirectory());
    try {
      await bench.#probe.startProbe();
      return bench;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#probe.probes.length > 0) await this.#probe.probe.stop();
    await this.#lab.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async run(programs: readonly Program[], upheaval: AgentUpheaval): Promise<BatchResult> {
    return resultOf(await this.perform(programs, upheaval));
  }

  /** @throws Error when an interpreter does not end in time, or what was sent is not in the registry */
  async perform(programs: readonly Program[], upheaval: AgentUpheaval): Promise<Heard> {
    const witness = startWitness();
    const running = await this.#prepare(programs.length);
    const { batch, temporality, receiver, interpreters } = running;
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
      return { batch, temporality, programs, traces, spans, points, befell, justTaken, lossesBefore, hidden };
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
    const node = new NodeAgent(this.#lab, NODE, {
      endpoint: receiver.endpoint,
      endpointByVariable: true,
      intervalMs: INTERVAL_MS,
      agentArguments: ["--config", this.#config],
    });
    const cgroups = Array.from({ length: count }, (_, program) => {
      const directory = join(this.#directory, `${batch}-${program}`);
      return new ProgramCgroups(this.#lab.nodeCgroup(NODE), directory, { batch, program });
    });
    const interpreters = cgroups.map(({ directory }) => new Interpreter(directory));
    return { batch, temporality, receiver, node, cgroups, interpreters };
  }

  /** All programs that have a barrier wait there for each other; the agent's lot befalls it before they go on, or after. */
  async #passBarriers({ interpreters, node, receiver }: Running, upheaval: AgentUpheaval): Promise<Aftermath> {
    const waiting = interpreters.filter(({ barriers }) => barriers > 0);
    await Promise.all(waiting.map((each) => each.untilBarrier(0)));
    const { isAmid, befall } = UPHEAVALS[upheaval];
    const goOn = () => {
      for (const each of waiting) each.goOnToTheEnd();
    };
    if (isAmid) goOn();
    const aftermath = await befall({ probe: this.#probe, agent: node, receiver });
    if (!isAmid) goOn();
    return aftermath;
  }
}

/** The agent has seen each program's namespace before anything happens in it. */
async function begin({ node, interpreters }: Running): Promise<void> {
  await node.startAgent();
  await Promise.all(interpreters.map((each) => each.untilStart()));
  await exchanges(node, 2);
}

/** All spans are with the Collector; the agent's last exchange has all that was left. */
async function settle({ node }: Running): Promise<void> {
  await exchanges(node, 2);
  let observed = -1;
  await eventually(
    "all spans to be taken",
    async () => {
      const { spans } = await statusOf(node);
      const isQuiet = spans.pending === 0 && spans.observed === observed;
      observed = spans.observed;
      if (!isQuiet) await exchanges(node, 1);
      return isQuiet;
    },
    DEADLINE_MS,
  );
  await node.agent.stop("SIGTERM");
}

/** Waits until the agent has completed that many more. */
async function exchanges(node: NodeAgent, count: number): Promise<void> {
  let last: number | undefined;
  // The one that is under way began before.
  let left = count + 1;
  await eventually(`${count} exchanges`, async () => {
    const { lastExchangeMs } = (await statusOf(node)).vitals;
    if (lastExchangeMs !== last) left--;
    last = lastExchangeMs;
    return left < 0;
  });
}

async function end({ node, receiver, interpreters, cgroups }: Running): Promise<void> {
  if (node.agents.at(-1)?.isRunning) await node.agent.stop("SIGKILL");
  await Promise.all(interpreters.map((each) => each.leave()));
  await Promise.all(cgroups.map((each) => each.remove()));
  await receiver.close();
}
