/**
 * The agent's side of the kernel's edge table: what each edge has been named, what it has counted since
 * the agent started, and which of its growth the kernel still holds.
 *
 * A row repeats growth until it is settled. What is new in it is the difference to the row before; only
 * that goes into totals, rates and coverage, so that nothing is counted twice while a Collector is away.
 */
import type { EdgeGrowth, EdgeKey, LocalEnd, RemoteEnd } from "../model.ts";
import { AT, COUNTERS, RowPool } from "./counters.ts";
import type { FlowSeries, Place } from "./flows.ts";
import { SlotCounts } from "./slots.ts";

export interface Names {
  readonly local: LocalEnd;
  readonly remote: RemoteEnd;
}

/** Behind an edge's totals: what was new in its last row, for rates. */
export const LATEST = { bytesSent: COUNTERS, bytesReceived: COUNTERS + 1, opened: COUNTERS + 2 } as const;
const WIDTH = COUNTERS + Object.keys(LATEST).length;

export class Edge {
  readonly id: string;
  readonly key: EdgeKey;
  /** Totals since the agent started by EDGE_COUNTERS, then LATEST. */
  readonly totals: Float64Array;
  readonly slots = new SlotCounts();
  /** Version of the identity that `names` came from; -1 before the first answer. */
  version = -1;
  /** Undefined while the identity is pending. */
  names: Names | undefined;
  /** Why there are no names yet. */
  pendingWhy = "";
  /** Where growth belongs that was not sent yet. */
  place: Place | undefined;
  /** Where growth was sent that was not confirmed: the same growth must go there again. */
  home: FlowSeries | undefined;
  /** The row of the last exchange, until it is accepted. */
  row: EdgeGrowth | undefined;
  /** Whether `row` has growth. */
  grown = false;
  /** Whether `row` has less than the unsettled row before it: the kernel's maps were made anew. */
  shrunk = false;
  /** Weight of what was new in `row`: see budget.ts. */
  weight = 0;
  /** Growth in `row` happened after this. */
  sinceNs = 0n;
  /** Of the last exchange that had a row, on CLOCK_BOOTTIME. */
  seenNs = 0n;
  open = 0;
  limit = 0;

  constructor(id: string, key: EdgeKey, totals: Float64Array) {
    this.id = id;
    this.key = key;
    this.totals = totals;
  }
}

export class EdgeTable {
  readonly #edges = new Map<string, Edge>();
  readonly #pool = new RowPool(WIDTH);
  readonly #decodeKey: (id: string) => EdgeKey;
  /** What was new in the row that observe() took last, by EDGE_COUNTERS. */
  readonly fresh = new Float64Array(COUNTERS);

  constructor(decodeKey: (id: string) => EdgeKey) {
    this.#decodeKey = decodeKey;
  }

  get size(): number {
    return this.#edges.size;
  }

  values(): Iterable<Edge> {
    return this.#edges.values();
  }

  /** The edge of this id, made if there was none. */
  find(id: string): Edge {
    const known = this.#edges.get(id);
    if (known !== undefined) return known;
    const edge = new Edge(id, this.#decodeKey(id), this.#pool.take());
    this.#edges.set(id, edge);
    return edge;
  }

  /**
   * Takes an edge's row of this exchange and fills `fresh`.
   *
   * @param nowNs the exchange's time
   * @param previousNs time of the exchange before, if this agent made one: an edge of which it held
   *   nothing unsettled then has grown after it, whatever the kernel remembers
   */
  observe(edge: Edge, row: EdgeGrowth, nowNs: bigint, previousNs: bigint | undefined): void {
    const held = edge.grown ? edge.row : undefined;
    edge.grown = this.#count(edge, row, held);
    if (held === undefined) edge.sinceNs = previousNs ?? (edge.grown ? row.sinceNs : nowNs);
    edge.row = row;
    edge.seenNs = nowNs;
    edge.open = row.open;
    edge.limit = row.limit;
  }

  /** Marks an edge that had no row in this exchange: nothing of it is open or unsettled. */
  rest(edge: Edge): void {
    edge.row = undefined;
    edge.grown = false;
    edge.open = 0;
    edge.limit = 0;
    edge.totals.fill(0, COUNTERS);
  }

  remove(edge: Edge): void {
    this.#edges.delete(edge.id);
    this.#pool.give(edge.totals);
  }

  /** @returns whether the row has growth */
  #count(edge: Edge, row: EdgeGrowth, held: EdgeGrowth | undefined): boolean {
    const { counters } = row;
    const { totals } = edge;
    const before = held?.counters;
    let growth = 0;
    edge.shrunk = false;
    this.fresh.fill(0);
    for (let i = 0; i < COUNTERS; i++) {
      const now = counters[i] as number;
      const known = before === undefined ? 0 : (before[i] as number);
      growth += now;
      if (now === known) continue;
      if (now < known) edge.shrunk = true;
      const fresh = now < known ? now : now - known;
      this.fresh[i] = fresh;
      totals[i] = (totals[i] as number) + fresh;
    }
    totals[LATEST.bytesSent] = this.fresh[AT.bytesSent] as number;
    totals[LATEST.bytesReceived] = this.fresh[AT.bytesReceived] as number;
    totals[LATEST.opened] = this.fresh[AT.opened] as number;
    edge.slots.add(row.slots);
    if (held !== undefined && !edge.shrunk) edge.slots.subtract(held.slots);
    return growth > 0 || row.slots.length > 0;
  }
}
