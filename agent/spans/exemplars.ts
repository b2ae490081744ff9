/**
 * Exemplars for flow metrics: which connections stand for a point's handshake, RTT and retransmits.
 *
 * Filled with spans that the Collector has accepted, so that an exemplar never points at nothing; emptied
 * by the next exchange. Each flow keeps the two largest values of each kind: those are looked for. Bounded
 * by the number of flows; what finds no room is no loss, every point is exact without it.
 */
import type { Attributes } from "../model/attribute.ts";
import type { Exemplar, Flow } from "../model/flow.ts";
import type { Span } from "./span.ts";

type Lists = NonNullable<Flow["exemplars"]>;
type Kind = keyof Lists;

/** What one connection measured; undefined where it measured nothing. In the unit of the metric. */
export interface Measured {
  /** Seconds. */
  readonly handshake: number | undefined;
  /** Seconds. */
  readonly rtt: number | undefined;
  readonly retransmits: number | undefined;
}

const FLOWS_MAX = 1_000;
const KEPT = 2;
const NO_ATTRIBUTES: Attributes = {};

export class Exemplars {
  #flows = new Map<string, { [K in Kind]?: Exemplar[] }>();

  /** @param flow the key of the flow that the connection was counted in */
  offer(
    flow: string,
    { traceId, spanId, endUnixNs }: Pick<Span, "traceId" | "spanId" | "endUnixNs">,
    measured: Measured,
  ) {
    let lists = this.#flows.get(flow);
    if (lists === undefined) {
      if (this.#flows.size >= FLOWS_MAX) return;
      lists = {};
      this.#flows.set(flow, lists);
    }
    for (const kind of ["handshake", "rtt", "retransmits"] as const) {
      const value = measured[kind];
      if (value === undefined) continue;
      const exemplar = { value, timeUnixNs: endUnixNs, traceId, spanId, filteredAttributes: NO_ATTRIBUTES };
      const list = lists[kind] ?? [];
      lists[kind] = [...list, exemplar].sort((a, b) => b.value - a.value).slice(0, KEPT);
    }
  }

  /** Those of one flow that lie after its start; each is handed out once. */
  take(flow: string, startUnixNs: bigint): Flow["exemplars"] {
    const lists = this.#flows.get(flow);
    if (lists === undefined) return undefined;
    this.#flows.delete(flow);
    const within = ({ timeUnixNs }: Exemplar) => timeUnixNs >= startUnixNs;
    return Object.fromEntries(Object.entries(lists).map(([kind, list]) => [kind, list.filter(within)]));
  }

  /** Ends an exchange: what no flow has taken is of flows that have no point. */
  clear(): void {
    this.#flows.clear();
  }
}
