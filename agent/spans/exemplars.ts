/**
 * Exemplars for flow metrics: which connections stand for a point's handshake, RTT and retransmits.
 *
 * Filled with spans that the Collector has accepted, so that an exemplar never points at nothing; emptied by the next exchange,
 * but for connections that ended after that was read: they stand for points of the one behind it. Each flow keeps the two largest values of each kind: those are looked for. Bounded
 * by the number of flows; what finds no room is no loss, every point is exact without it.
 */
import type { Attributes } from "../model/attribute.ts";
import type { Connection } from "../model/connection-record.ts";
import type { Exemplar, Flow } from "../model/flow.ts";
import type { Span } from "./span.ts";

type Lists = NonNullable<Flow["exemplars"]>;
type Kind = keyof Lists;

/** What one connection measured; 0 where it measured nothing. */
export type Measured = Pick<Connection, "handshakeUs" | "lastRttUs" | "retransmits">;

/** A span that may stand for a point. */
type Stood = Pick<Span, "ids" | "endUnixNs">;
type Kept = { [K in Kind]?: Exemplar[] };

const MICROSECONDS = 1_000_000;
const FLOWS_MAX = 1_000;
const KEPT = 2;
const NO_ATTRIBUTES: Attributes = {};

export class Exemplars {
  #flows = new Map<string, Kept>();

  /** @param flow the key of the flow that the connection was counted in */
  offer(flow: string, span: Stood, { handshakeUs, lastRttUs, retransmits }: Measured): void {
    let lists = this.#flows.get(flow);
    if (lists === undefined) {
      if (this.#flows.size >= FLOWS_MAX) return;
      lists = {};
      this.#flows.set(flow, lists);
    }
    keep(lists, "handshake", handshakeUs, MICROSECONDS, span);
    keep(lists, "rtt", lastRttUs, MICROSECONDS, span);
    keep(lists, "retransmits", retransmits, 1, span);
  }

  /** Those of one flow from its start to the exchange's time; each is handed out once. */
  take(flow: string, startUnixNs: bigint, untilUnixNs: bigint): Flow["exemplars"] {
    const lists = this.#flows.get(flow);
    if (lists === undefined) return undefined;
    this.#keepLater(flow, lists, untilUnixNs);
    return only(lists, ({ timeUnixNs }) => timeUnixNs >= startUnixNs && timeUnixNs <= untilUnixNs);
  }

  /** Ends an exchange: what lies before it and no flow has taken is of flows that have no point. */
  clear(untilUnixNs: bigint): void {
    for (const [flow, lists] of [...this.#flows]) this.#keepLater(flow, lists, untilUnixNs);
  }

  #keepLater(flow: string, lists: Lists, untilUnixNs: bigint): void {
    const later = only(lists, ({ timeUnixNs }) => timeUnixNs > untilUnixNs);
    if (Object.keys(later).length > 0) this.#flows.set(flow, later);
    else this.#flows.delete(flow);
  }
}

/** Kinds without any are left out. */
function only(lists: Lists, isOne: (exemplar: Exemplar) => boolean): Kept {
  const kept = Object.entries(lists).map(([kind, list]) => [kind, list.filter(isOne)] as const);
  return Object.fromEntries(kept.filter(([, list]) => list.length > 0));
}

/** Sees to it that the list has the largest values. @param unit how many of them are one of the metric's */
function keep(lists: Kept, kind: Kind, count: number, unit: number, span: Stood): void {
  const list = lists[kind] ?? [];
  if (count === 0 || (list.length === KEPT && count / unit <= (list[KEPT - 1] as Exemplar).value)) return;
  const { traceId, spanId } = span.ids;
  const { endUnixNs: timeUnixNs } = span;
  const exemplar = { value: count / unit, timeUnixNs, traceId, spanId, filteredAttributes: NO_ATTRIBUTES };
  lists[kind] = [...list, exemplar].sort((a, b) => b.value - a.value).slice(0, KEPT);
}
