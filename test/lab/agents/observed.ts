/**
 * A lab with flowspan on each of its nodes: the real probe, the real agent, names from the fake API server, points
 * in a receiver of this process. Tests play traffic in the lab and read here what was told of it.
 *
 *   lab pods ─ kernel ─ probe ─ agent ─ OTLP ─ receiver ─ sums
 *                                 └ names ─ fake API server
 */

import type { MetricDescriptor } from "../../../agent/generated/semconv.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_FLOWSPAN_ROLE,
  ATTR_K8S_NODE_NAME,
  ATTR_NETWORK_IO_DIRECTION,
  METRIC_FLOWSPAN_LOSSES,
  METRIC_FLOWSPAN_TCP_CONNECTION_DURATION,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
  METRIC_FLOWSPAN_TCP_CONNECTIONS_CLOSED,
  METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN,
  METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION,
  METRIC_FLOWSPAN_TCP_IO,
  METRIC_FLOWSPAN_WALK_DURATION,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { FakeApiServer } from "../../kubernetes/fake-api-server.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";
import { type SeriesTotal, seriesTotals, total } from "../../otlp/oracle.ts";
import { Receiver } from "../../otlp/receiver.ts";
import { eventually } from "../programs/process.ts";
import type { Description, PodDescription } from "../world/describe.ts";
import { type Lab, startLab } from "../world/lab.ts";
import { startMetadata } from "../world/metadata.ts";
import { exchangesOf } from "./agent-status.ts";
import { type AgentSetup, type NodeAgent, startAgents } from "./agents.ts";

/** What was told of one end of some connections. */
export interface EndSum {
  readonly opened: number;
  readonly failed: number;
  readonly closed: number;
  /** Now. */
  readonly open: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** How many values the histograms hold. */
  readonly handshakes: number;
  readonly durations: number;
}

const INTERVAL_MS = 300;
const DEADLINE_MS = 30_000;

export class ObservedLab {
  readonly lab: Lab;
  readonly api: FakeApiServer;
  readonly receiver: Receiver;
  readonly #setup: AgentSetup;
  readonly #undo: (() => unknown)[];
  #agents: NodeAgent[] = [];

  private constructor(lab: Lab, api: FakeApiServer, receiver: Receiver, setup: AgentSetup, undo: (() => unknown)[]) {
    this.lab = lab;
    this.api = api;
    this.receiver = receiver;
    this.#setup = setup;
    this.#undo = undo;
  }

  /** Builds everything but the probes and agents, which watch() starts. */
  static async start(description: Description, setup: Partial<AgentSetup> = {}): Promise<ObservedLab> {
    const undo: (() => unknown)[] = [];
    try {
      const lab = await startLab(description);
      undo.push(() => lab.close());
      const { api, kubeconfig } = await startMetadata(lab);
      undo.push(() => api.stop());
      const receiver = await Receiver.start();
      undo.push(() => receiver.close());
      const { endpoint } = receiver;
      return new ObservedLab(lab, api, receiver, { endpoint, kubeconfig, intervalMs: INTERVAL_MS, ...setup }, undo);
    } catch (error) {
      await undoAll(undo);
      throw error;
    }
  }

  /** Starts a probe and an agent on every node; what happens from now on is counted. */
  async watch(): Promise<void> {
    this.#undo.push(() => Promise.all(this.#agents.map((agent) => agent.stop())));
    this.#agents = await startAgents(this.lab, this.#setup);
  }

  close(): Promise<void> {
    return undoAll(this.#undo);
  }

  agent(node: string): NodeAgent {
    const agent = this.#agents.find((each) => each.node === node);
    if (!agent) throw new Error(`no agent runs on ${node}`);
    return agent;
  }

  describedPod(key: string): PodDescription {
    const pod = this.lab.description.pods.find((each) => each.key === key);
    if (!pod) throw new Error(`the lab has no pod ${key}`);
    return pod;
  }

  /** All points whose attributes or Resource hold what `where` names. */
  points(where: Attributes = {}): ReceivedPoint[] {
    const named = Object.entries(where);
    return this.receiver.points.filter(({ attributes, resource }) =>
      named.every(([name, value]) => (attributes[name] ?? resource[name]) === value),
    );
  }

  /** Both ends of what `where` names, each by its role. */
  ends(where: Attributes = {}): { readonly client: EndSum; readonly server: EndSum } {
    const totals = seriesTotals(this.receiver.points);
    return {
      client: endSum(totals, { ...where, [ATTR_FLOWSPAN_ROLE]: "client" }),
      server: endSum(totals, { ...where, [ATTR_FLOWSPAN_ROLE]: "server" }),
    };
  }

  /** Waits until what was told meets `condition`, which is asked once for each request. */
  async until(what: string, condition: () => boolean, timeoutMs = DEADLINE_MS): Promise<void> {
    let seen = -1;
    const check = () => {
      if (seen === this.receiver.requests.length) return false;
      seen = this.receiver.requests.length;
      return condition();
    };
    await eventually(() => `${what}; told so far: ${JSON.stringify(this.ends())}`, check, timeoutMs);
  }

  /** As until(), then two more exchanges of every agent: what is counted late or twice comes with them. */
  async settled(what: string, condition: () => boolean): Promise<void> {
    await this.until(what, condition);
    await this.exchanges(2);
  }

  /** Waits until every agent has completed that many more. */
  async exchanged(count: number): Promise<void> {
    await Promise.all(this.#agents.map((agent) => exchangesOf(agent, count, DEADLINE_MS)));
  }

  /** As exchanged(), and until each has told of itself since: its own metrics go by a clock of their own. */
  async exchanges(count: number): Promise<void> {
    await this.exchanged(count);
    const sinceNs = BigInt(Date.now()) * 1_000_000n;
    await this.until("own metrics of every agent", () =>
      this.#agents.every(({ node }) => (this.#lastOwn(node)?.timeUnixNs ?? 0n) >= sinceNs),
    );
  }

  /** Losses by reason, of all nodes, without those that are 0. Throws when a node has told nothing of losses. */
  losses(): Record<string, number> {
    const told = seriesTotals(this.points()).filter(({ metric }) => metric === METRIC_FLOWSPAN_LOSSES.name);
    for (const { node } of this.#agents)
      if (!told.some(({ resource }) => resource[ATTR_K8S_NODE_NAME] === node))
        throw new Error(`${node} told no losses`);
    const losses: Record<string, number> = {};
    for (const { attributes, value } of told) {
      const reason = String(attributes[ATTR_FLOWSPAN_LOSS_REASON]);
      if (value > 0) losses[reason] = (losses[reason] ?? 0) + value;
    }
    return losses;
  }

  /** The last point that an agent has sent of itself. */
  #lastOwn(node: string): ReceivedPoint | undefined {
    return this.receiver.points.findLast(
      ({ metric, resource }) => metric === METRIC_FLOWSPAN_WALK_DURATION.name && resource[ATTR_K8S_NODE_NAME] === node,
    );
  }
}

/** @param where attributes that a series or its Resource must hold */
export function endSum(totals: readonly SeriesTotal[], where: Attributes): EndSum {
  const sum = (metric: MetricDescriptor, list = totals) => total(list, metric.name, where);
  const bytes = (direction: string) =>
    total(totals, METRIC_FLOWSPAN_TCP_IO.name, { ...where, [ATTR_NETWORK_IO_DIRECTION]: direction });
  // A histogram's total() is the sum of its values; here they are only counted.
  const counts = totals.map((series) => ({ ...series, value: series.count }));
  const opened = sum(
    METRIC_FLOWSPAN_TCP_CONNECTIONS,
    totals.filter(({ attributes }) => attributes[ATTR_ERROR_TYPE] === undefined),
  );
  return {
    opened,
    failed: sum(METRIC_FLOWSPAN_TCP_CONNECTIONS) - opened,
    closed: sum(METRIC_FLOWSPAN_TCP_CONNECTIONS_CLOSED),
    open: sum(METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN),
    bytesSent: bytes("transmit"),
    bytesReceived: bytes("receive"),
    handshakes: sum(METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, counts),
    durations: sum(METRIC_FLOWSPAN_TCP_CONNECTION_DURATION, counts),
  };
}

/** Backwards, and on past a step that fails. */
async function undoAll(undo: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
