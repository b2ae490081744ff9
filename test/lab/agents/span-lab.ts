/**
 * An observed lab whose agents make spans, by a configuration file as users write it. Tests play traffic in it and
 * ask for the spans that came, which of them belong together, and what each agent counts of its own.
 *
 *   lab pods ─ kernel ─ probe ─ agent ─ spans ─ receiver ─ pairs by trace id
 */

import { chownSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { USER_AGENT } from "../../../agent/generated/layout.ts";
import type { SpanStats } from "../../../agent/spans/queue.ts";
import type { Receiver } from "../../otlp/receiver.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { eventually } from "../programs/process.ts";
import type { Endpoint, Workload } from "../programs/workload.ts";
import { type Description, twoPods } from "../world/describe.ts";
import type { Lab } from "../world/lab.ts";
import { type AgentStatus, statusOf } from "./agent-status.ts";
import { type AgentSetup, ENDPOINT_VARIABLE, type NodeAgent } from "./agents.ts";
import { ObservedLab } from "./observed.ts";

/** Every connection of every kind, and no limit: `spans` of the file. */
export const ALL_SPANS = { sampling: { probability: 1, adaptive: false }, rate: 0 } as const;

export interface SpanLabOptions {
  readonly description?: Description;
  /** `distribution.flowspan.spans` of the file, the same for all agents or by node. */
  readonly spans?: object | ((node: string) => object);
  /** `tracer_provider.processors[0].batch` of the file. */
  readonly batch?: { readonly exporter?: object; readonly [name: string]: unknown };
  /** More of the metrics' `otlp_grpc`. */
  readonly metrics?: object;
  readonly setup?: Partial<Omit<AgentSetup, "agentArguments">>;
  /** What happens before the probes and agents start. */
  readonly before?: (lab: Lab) => Promise<unknown>;
  /** More arguments of each agent. */
  readonly agentArguments?: (node: string) => readonly string[];
}

const BATCH = { schedule_delay: 100, max_queue_size: 50_000, exporter: { otlp_grpc: {} } };
/** Spans go there too, unless their exporter names another. */
const METRICS = { endpoint: `\${${ENDPOINT_VARIABLE}}` };
/** Longer than a span or the probe's socket is left alone after failures: back-off goes up to 16 s. */
const DEADLINE_MS = 30_000;

export class SpanLab {
  readonly observed: ObservedLab;
  /** Of files that the agents read. */
  readonly directory: string;
  readonly #options: SpanLabOptions;
  #closed = 0;

  private constructor(observed: ObservedLab, directory: string, options: SpanLabOptions) {
    this.observed = observed;
    this.directory = directory;
    this.#options = options;
  }

  /** Two pods on two nodes unless described otherwise; all agents run when it resolves. */
  static async start(options: SpanLabOptions = {}): Promise<SpanLab> {
    const description = options.description ?? twoPods();
    const directory = configDirectory();
    for (const { name } of description.nodes) replaceFile(configFile(directory, name), configText(options, name));
    const agentArguments = (node: string) => [
      ...["--config", configFile(directory, node)],
      ...(options.agentArguments?.(node) ?? []),
    ];
    const observed = await ObservedLab.start(description, {
      ...options.setup,
      ...{ agentArguments, endpointByVariable: true },
    });
    const lab = new SpanLab(observed, directory, options);
    try {
      await options.before?.(observed.lab);
      await observed.watch();
      await recording(lab.nodes.map((node) => observed.agent(node)));
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get lab(): Lab {
    return this.observed.lab;
  }

  get receiver(): Receiver {
    return this.observed.receiver;
  }

  get spans(): readonly ReceivedSpan[] {
    return this.receiver.spans;
  }

  get service(): Endpoint[] {
    return serviceOf(this.lab);
  }

  get nodes(): string[] {
    return this.lab.description.nodes.map(({ name }) => name);
  }

  async status(node: string): Promise<AgentStatus> {
    return statusOf(this.observed.agent(node));
  }

  /** Of all agents together. */
  async stats(): Promise<SpanStats> {
    return addStats((await Promise.all(this.nodes.map((node) => this.status(node)))).map(({ spans }) => spans));
  }

  /**
   * Waits until so many have come and no agent holds one back, then two more exchanges of each agent: what
   * comes late or twice comes with them.
   */
  async settled(count: number): Promise<SpanStats> {
    let stats = await this.stats();
    await eventually(
      () => `${count} spans: ${this.spans.length} came, ${JSON.stringify(stats)}`,
      async () => {
        stats = await this.stats();
        return this.spans.length >= count && stats.pending === 0;
      },
      DEADLINE_MS,
    );
    await this.observed.exchanges(2);
    return this.stats();
  }

  /**
   * Waits until both ends' metrics have counted so many more closes, then until their records have come: they are
   * under way before the exchange that counts them.
   */
  async closed(count: number): Promise<void> {
    this.#closed += count;
    await this.observed.until(
      `${count} closes at each end`,
      () => {
        const { client, server } = this.observed.ends();
        return Math.min(client.closed, server.closed) >= this.#closed;
      },
      DEADLINE_MS,
    );
    await this.settled(0);
  }

  /** Changes `spans` of the file while the agents run; resolves when the kernel goes by it. */
  async configure(spans: object): Promise<void> {
    const before = await this.#reloads();
    for (const node of this.nodes)
      replaceFile(configFile(this.directory, node), configText({ ...this.#options, spans }, node));
    await eventually("a reload by each agent", async () => {
      const now = await this.#reloads();
      return now.every((reloads, i) => reloads > (before[i] ?? 0));
    });
    // The settings are on their way before the next exchange is asked for.
    await this.observed.exchanges(2);
  }

  async #reloads(): Promise<number[]> {
    const all = await Promise.all(this.nodes.map((node) => this.status(node)));
    return all.map(({ config }) => config.reloads);
  }

  async close(): Promise<void> {
    await this.observed.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The server's listeners. */
export const PORTS = { requests: 8080, sink: 8081 } as const;

/** The server of twoPods(). */
export function serve(lab: Lab): Promise<Workload> {
  return lab.pod("server").serve({ listen: [{ port: PORTS.requests }, { port: PORTS.sink, mode: "sink" }] });
}

/** Plays in a fresh lab of twoPods() whose server listens; it is gone afterwards. */
export async function inSpanLab(options: SpanLabOptions, play: (spanLab: SpanLab) => Promise<void>): Promise<void> {
  const spanLab = await SpanLab.start({ before: serve, ...options });
  try {
    await play(spanLab);
  } finally {
    await spanLab.close();
  }
}

/** Where the Service `server` of twoPods() is reached. */
export function serviceOf(lab: Lab): Endpoint[] {
  const { clusterIps, port } = lab.service("server");
  return [{ address: clusterIps.v4, port }];
}

/** Waits until each agent has told its probe what to record, which it does before its first exchange. */
export async function recording(agents: readonly NodeAgent[], timeoutMs?: number): Promise<void> {
  const isRecording = async () => {
    const statuses = await Promise.all(agents.map(statusOf));
    return statuses.every(({ probe }) => probe !== null);
  };
  await eventually("a first exchange of each agent", isRecording, timeoutMs);
}

/** The agents' user's own. */
export function configDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-spans-"));
  chownSync(directory, USER_AGENT, USER_AGENT);
  return directory;
}

function configFile(directory: string, node: string): string {
  return join(directory, `${node}.yaml`);
}

/** Replaces a file in one step, as a Secret's mount does. */
export function replaceFile(path: string, content: string): void {
  writeFileSync(`${path}.new`, content, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

/** JSON is YAML. */
export function configText({ spans = ALL_SPANS, batch = {}, metrics = {} }: SpanLabOptions, node = ""): string {
  return JSON.stringify({
    file_format: "1.1",
    meter_provider: { readers: [{ periodic: { exporter: { otlp_grpc: { ...METRICS, ...metrics } } } }] },
    tracer_provider: { processors: [{ batch: { ...BATCH, ...batch } }] },
    distribution: { flowspan: { spans: typeof spans === "function" ? spans(node) : spans } },
  });
}

function addStats(list: readonly SpanStats[]): SpanStats {
  const add = (pick: (stats: SpanStats) => number) => list.reduce((sum, stats) => sum + pick(stats), 0);
  const reasons = Object.keys(list[0]?.dropped ?? {}) as (keyof SpanStats["dropped"])[];
  return {
    observed: add(({ observed }) => observed),
    accepted: add(({ accepted }) => accepted),
    dropped: Object.fromEntries(
      reasons.map((reason) => [reason, add(({ dropped }) => dropped[reason])]),
    ) as SpanStats["dropped"],
    pending: add(({ pending }) => pending),
    unnamed: add(({ unnamed }) => unnamed),
    limit: add(({ limit }) => limit),
  };
}

/** Both ends' spans of one connection. */
export interface Pair {
  readonly client: ReceivedSpan;
  readonly server: ReceivedSpan;
}

export interface Sorted {
  /** Traces of one CLIENT span and one SERVER span whose parent it is. */
  readonly pairs: readonly Pair[];
  /** All other spans. */
  readonly odd: readonly ReceivedSpan[];
}

/** Tells whole connections from everything else that a trace may be. */
export function pairUp(spans: readonly ReceivedSpan[]): Sorted {
  const pairs: Pair[] = [];
  const odd: ReceivedSpan[] = [];
  for (const trace of Map.groupBy(spans, ({ traceId }) => traceId).values()) {
    const client = trace.find(({ kind }) => kind === "client");
    const server = trace.find(({ kind }) => kind === "server");
    const isPair = trace.length === 2 && client?.parentSpanId === "" && server?.parentSpanId === client.spanId;
    if (isPair && client && server) pairs.push({ client, server });
    else odd.push(...trace);
  }
  return { pairs, odd };
}

/** How often each text occurs. */
export function counted(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}
