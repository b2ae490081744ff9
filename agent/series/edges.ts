/**
 * The agent's side of the kernel's edge table: what each edge has been named, what it has counted since
 * the agent started, and which of its growth the kernel still holds.
 *
 * A row repeats growth until it is settled. What is new in it is the difference to the row before; only
 * that goes into totals, rates and coverage, so that nothing is counted twice while a Collector is away.
 * Where what is new belongs to another owner, the row before is sent and settled by itself (`split`).
 */

import type { EdgeGrowth, EdgeKey } from "../model/edge.ts";
import type { Names } from "../model/names.ts";
import { AT, COUNTERS, NumberPages, type NumbersAt } from "./counters.ts";
import type { FlowSeries } from "./flow-series.ts";
import { KeptRow } from "./kept-row.ts";
import type { Place } from "./place.ts";
import { SlotCounts } from "./slots.ts";

/** Growth up to the time of one exchange. */
export interface Stretch {
  readonly row: EdgeGrowth;
  /** The last exchange in which it grew. */
  readonly untilNs: bigint;
  /** The last exchange that said it: what is not in it happened after that. */
  readonly saidNs: bigint;
}

/** Behind an edge's totals: what was new in its last row, for rates. */
export const LATEST = { bytesSent: COUNTERS, bytesReceived: COUNTERS + 1, opened: COUNTERS + 2 } as const;
const WIDTH = COUNTERS + Object.keys(LATEST).length;

export class Edge {
  readonly id: string;
  readonly key: EdgeKey;
  /** At `at`: totals since the agent started by EDGE_COUNTERS, then LATEST. */
  readonly page: Float64Array;
  readonly at: number;
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
  /** The row of the last exchange, until it is accepted; a KeptRow is what a split has left of it. */
  row: EdgeGrowth | undefined;
  /** Whether `row` has growth. */
  grown = false;
  /** What `row` repeats, if it has grown further since and can be settled by itself. */
  repeated: Stretch | undefined;
  /** The part of `row` that is sent and settled before the rest is. */
  split: Stretch | undefined;
  /** Whether `row` has less than the unsettled row before it: the kernel's maps were made anew. */
  shrunk = false;
  /** Weight of what was new in `row`: see budget.ts. */
  weight = 0;
  /** Growth in `row` happened after this, and up to `untilNs`. */
  sinceNs = 0n;
  untilNs = 0n;
  /** Of the last exchange that had a row, on CLOCK_BOOTTIME. */
  seenNs = 0n;
  open = 0;
  limit = 0;

  constructor(id: string, key: EdgeKey, { page, at }: NumbersAt) {
    this.id = id;
    this.key = key;
    this.page = page;
    this.at = at;
  }

  /** @param index place in EDGE_COUNTERS or LATEST */
  total(index: number): number {
    return this.page[this.at + index] as number;
  }

  /** The row that is to be sent now, and accepted or not as a whole. */
  get due(): EdgeGrowth | undefined {
    return this.split?.row ?? this.row;
  }

  /** The kernel is told that the row that was due is settled; after a split, the rest of it is still there. */
  settle(): void {
    this.home = undefined;
    const { row, split } = this;
    if (row === undefined || split === undefined) {
      this.forgetRow();
      return;
    }
    this.row = KeptRow.rest(row, split.row);
    this.sinceNs = split.saidNs;
    this.split = undefined;
    this.version = -1;
  }

  /** From now on, and until that is settled, only what `row` repeats is due. */
  splitOff(stretch: Stretch): void {
    this.split = { ...stretch, row: KeptRow.copy(stretch.row) };
  }

  forgetRow(): void {
    this.row = undefined;
    this.grown = false;
    this.repeated = undefined;
    this.split = undefined;
  }
}

export class EdgeTable {
  readonly #edges = new Map<string, Edge>();
  readonly #pool = new NumberPages(WIDTH);
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
    const { grown, fresh } = this.#count(edge, row, held);
    edge.grown = grown;
    const isWhole = held !== undefined && fresh && !(held instanceof KeptRow);
    edge.repeated = isWhole ? { row: held, untilNs: edge.untilNs, saidNs: edge.seenNs } : undefined;
    if (edge.shrunk) {
      edge.repeated = undefined;
      edge.split = undefined;
    }
    if (held === undefined) edge.sinceNs = previousNs ?? (grown ? row.sinceNs : nowNs);
    if (fresh || !grown) edge.untilNs = nowNs;
    edge.row = row;
    edge.seenNs = nowNs;
    edge.open = row.open;
    edge.limit = row.limit;
  }

  /** Marks an edge that had no row in this exchange: nothing of it is open or unsettled. */
  rest(edge: Edge): void {
    edge.forgetRow();
    edge.open = 0;
    edge.limit = 0;
    edge.page.fill(0, edge.at + COUNTERS, edge.at + WIDTH);
  }

  remove(edge: Edge): void {
    this.#edges.delete(edge.id);
    this.#pool.give(edge);
  }

  /** @returns whether the row has growth, and whether any of it is new */
  #count(edge: Edge, row: EdgeGrowth, held: EdgeGrowth | undefined): { grown: boolean; fresh: boolean } {
    const { page, at } = edge;
    let growth = 0;
    let isFresh = false;
    edge.shrunk = false;
    this.fresh.fill(0);
    for (let i = 0; i < COUNTERS; i++) {
      const now = row.counter(i);
      const known = held === undefined ? 0 : held.counter(i);
      growth += now;
      if (now === known) continue;
      isFresh = true;
      if (now < known) edge.shrunk = true;
      const fresh = now < known ? now : now - known;
      this.fresh[i] = fresh;
      page[at + i] = (page[at + i] as number) + fresh;
    }
    page[at + LATEST.bytesSent] = this.fresh[AT.bytesSent] as number;
    page[at + LATEST.bytesReceived] = this.fresh[AT.bytesReceived] as number;
    page[at + LATEST.opened] = this.fresh[AT.opened] as number;
    edge.slots.add(row);
    if (held !== undefined && !edge.shrunk) edge.slots.subtract(held);
    return { grown: growth > 0 || row.slotCount > 0, fresh: isFresh };
  }
}
