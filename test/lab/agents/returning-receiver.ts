/**
 * The receiver of this process as a Collector that goes away and comes back on its port, and that can be asked
 * when it has kept something of each node.
 */
import { ATTR_FLOWSPAN_ROLE, METRIC_FLOWSPAN_TCP_CONNECTIONS } from "../../../agent/generated/semconv.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";
import type { Point } from "../../otlp/oracle.ts";
import { type Arrival, type Behaviour, type ReceivedRequest, Receiver } from "../../otlp/receiver.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { freePorts } from "../../shared/free-ports.ts";
import { eventually } from "../programs/process.ts";
import type { Collector } from "./trouble.ts";

/** An agent whose request with other points is not answered sends its flows after the time for an answer, ten seconds. */
const KEPT_MS = 25_000;

export class ReturningReceiver implements Collector {
  readonly #receivers: Receiver[];

  private constructor(first: Receiver) {
    this.#receivers = [first];
  }

  static async start(): Promise<ReturningReceiver> {
    const [port = 0] = await freePorts(1);
    return new ReturningReceiver(await Receiver.start({ port }));
  }

  get endpoint(): string {
    return this.#now.endpoint;
  }

  set behaviour(behaviour: Behaviour) {
    this.#now.behaviour = behaviour;
  }

  points(): readonly ReceivedPoint[] {
    return this.#receivers.flatMap(({ points }) => points);
  }

  get requests(): readonly ReceivedRequest[] {
    return this.#receivers.flatMap(({ requests }) => requests);
  }

  get spans(): readonly ReceivedSpan[] {
    return this.#receivers.flatMap(({ spans }) => spans);
  }

  /** How many have come since that time on performance.now(). */
  spansSince(atMs: number): number {
    return this.#receivers.flatMap(({ spanTimesMs }) => spanTimesMs).filter((timeMs) => timeMs >= atMs).length;
  }

  get arrivals(): readonly Arrival[] {
    return this.#receivers.flatMap(({ arrivals }) => arrivals);
  }

  leave(): Promise<void> {
    return this.#now.close();
  }

  async comeBack(): Promise<void> {
    this.#receivers.push(await Receiver.start({ port: Number(new URL(this.endpoint).port) }));
  }

  /** Resolves when it has kept flows of clients and of servers, which are on two nodes, after this call. */
  async keptFromEach(): Promise<void> {
    const { points } = this.#now;
    const before = points.length;
    const isFlow = ({ metric }: Point) => metric === METRIC_FLOWSPAN_TCP_CONNECTIONS.name;
    const hasBoth = () => {
      const roles = points
        .slice(before)
        .filter(isFlow)
        .map(({ attributes }) => attributes[ATTR_FLOWSPAN_ROLE]);
      return roles.includes("client") && roles.includes("server");
    };
    await eventually("a request from each node", hasBoth, KEPT_MS);
  }

  async close(): Promise<void> {
    for (const receiver of this.#receivers) await receiver.close();
  }

  get #now(): Receiver {
    return this.#receivers.at(-1) as Receiver;
  }
}
