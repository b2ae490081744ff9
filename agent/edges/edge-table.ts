/**
 * The agent's side of the kernel's edge table: rows of an exchange → edges, with what is new in each.
 *
 * A row repeats growth until it is settled. What is new in it is the difference to the row before; only
 * that goes into totals, rates and coverage, so that nothing is counted twice while a Collector is away.
 */
import type { EdgeGrowth, EdgeKey } from "../model/edge.ts";
import type { Exchange, NamespaceCounters } from "../model/probe-event.ts";
import { AT, COUNTERS } from "./counters.ts";
import { Coverage, type NamespaceCoverage } from "./coverage.ts";
import { Edge, LATEST } from "./edge-state.ts";
import { ExchangeClock } from "./exchange-clock.ts";
import { KeptRow } from "./kept-row.ts";
import { isAnswered } from "./peer-answer.ts";
import type { Snapshot } from "./snapshot.ts";
import { snapshotOf } from "./snapshot-of.ts";
import { SumPages } from "./sums.ts";
import { troubleOf } from "./troubled-edge.ts";
import { weightOf } from "./weight.ts";

/** What is read of an exchange; ExchangeData fits. */
export interface ExchangeRows {
  readonly rows: readonly EdgeGrowth[];
  readonly namespaces: readonly NamespaceCounters[];
  readonly end: Pick<Exchange, "bootNs" | "realtimeNs">;
}

/** Of one exchange. */
export interface Growth {
  readonly clock: ExchangeClock;
  /** Those that had a row, each once, in the rows' order. */
  readonly edges: readonly Edge[];
  /** Those that were silent for so long that the table has forgotten them. */
  readonly gone: readonly Edge[];
}

export class EdgeTable {
  readonly #edges = new Map<string, Edge>();
  readonly #pages = new SumPages();
  readonly #coverage = new Coverage();
  readonly #idleNs: bigint;
  readonly #decodeKey: (id: string) => EdgeKey;
  /** What was new in the row that was taken last, by EDGE_COUNTERS. */
  readonly #fresh = new Float64Array(COUNTERS);
  #clock: ExchangeClock | undefined;
  #previousNs: bigint | undefined;

  /**
   * @param idleMs edges that were silent for this long are forgotten
   * @param decodeKey decodes EdgeGrowth.id; called once an edge
   */
  constructor(idleMs: number, decodeKey: (id: string) => EdgeKey) {
    this.#idleNs = BigInt(idleMs) * 1_000_000n;
    this.#decodeKey = decodeKey;
  }

  get size(): number {
    return this.#edges.size;
  }

  /** A second row of an edge is left out: what it says beyond the first is still in the kernel. */
  observe({ rows, namespaces, end }: ExchangeRows): Growth {
    const clock = new ExchangeClock(end);
    this.#previousNs = this.#clock?.bootNs;
    this.#clock = clock;
    const edges: Edge[] = [];
    for (const row of rows) {
      const edge = this.#find(row.id);
      if (edge.seenNs === clock.bootNs) continue;
      this.#take(edge, row, clock.bootNs, this.#previousNs);
      this.#coverage.count(edge.key, this.#fresh);
      edge.weight = weightOf(this.#fresh);
      this.#judge(edge);
      edges.push(edge);
    }
    const gone = this.#restOthers(clock);
    this.#coverage.close(namespaces);
    return { clock, edges, gone };
  }

  /** Since the first exchange that saw each namespace. */
  coverage(): NamespaceCoverage[] {
    return this.#coverage.ratios();
  }

  /** Why flows see nothing of what the kernel counts; undefined while they do. */
  get blindness(): string | undefined {
    return this.#coverage.blindness;
  }

  snapshot(): Snapshot {
    const clock = this.#clock;
    if (clock === undefined) return snapshotOf([], undefined);
    const intervalNs = this.#previousNs === undefined ? 0n : clock.bootNs - this.#previousNs;
    return snapshotOf(this.#edges.values(), { timeUnixNs: clock.timeUnixNs, intervalNs });
  }

  /** The edge of this id, made if there was none. */
  #find(id: string): Edge {
    const known = this.#edges.get(id);
    if (known !== undefined) return known;
    const edge = new Edge(id, this.#decodeKey(id), this.#pages);
    this.#edges.set(id, edge);
    return edge;
  }

  /**
   * Takes an edge's row of this exchange and fills `#fresh`.
   *
   * @param nowNs the exchange's time
   * @param previousNs time of the exchange before, if this agent made one: an edge of which it held
   *   nothing unsettled then has grown after it, whatever the kernel remembers
   */
  #take(edge: Edge, row: EdgeGrowth, nowNs: bigint, previousNs: bigint | undefined): void {
    const held = edge.grown ? edge.row : undefined;
    const { grown, fresh } = this.#count(edge, row, held);
    edge.grown = grown;
    const isWhole = held !== undefined && fresh && !(held instanceof KeptRow);
    edge.repeated = isWhole ? { row: held, untilNs: edge.untilNs, reportedNs: edge.seenNs } : undefined;
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

  /** Notes what findings are judged by: of an edge that has no names yet, beside what nobody has judged. */
  #judge(edge: Edge): void {
    const isWaiting = edge.names === undefined;
    edge.trouble = troubleOf(this.#fresh, isWaiting ? edge.trouble : undefined);
    edge.segments = (this.#fresh[AT.segsOut] as number) + (isWaiting ? edge.segments : 0);
    edge.segmentsIn = (this.#fresh[AT.segsIn] as number) + (isWaiting ? edge.segmentsIn : 0);
    edge.isAnswered = isAnswered(this.#fresh) || (isWaiting && edge.isAnswered);
  }

  /**
   * Marks the edges that had no row in this exchange: nothing of them is open or unsettled.
   *
   * @returns those that are forgotten
   */
  #restOthers({ bootNs }: ExchangeClock): Edge[] {
    const idleSinceNs = bootNs - this.#idleNs;
    const gone: Edge[] = [];
    for (const edge of this.#edges.values()) {
      if (edge.seenNs === bootNs) continue;
      edge.forgetRow();
      edge.trouble = undefined;
      edge.segments = 0;
      edge.segmentsIn = 0;
      edge.isAnswered = false;
      edge.open = 0;
      edge.limit = 0;
      for (const index of Object.values(LATEST)) edge.totals.set(index, 0);
      if (edge.seenNs > idleSinceNs) continue;
      this.#edges.delete(edge.id);
      edge.totals.release();
      gone.push(edge);
    }
    return gone;
  }

  /** @returns whether the row has growth, and whether any of it is new */
  #count(edge: Edge, row: EdgeGrowth, held: EdgeGrowth | undefined): { grown: boolean; fresh: boolean } {
    const { totals } = edge;
    let growth = 0;
    let isFresh = false;
    edge.shrunk = false;
    this.#fresh.fill(0);
    for (let i = 0; i < COUNTERS; i++) {
      const now = row.counter(i);
      const known = held === undefined ? 0 : held.counter(i);
      growth += now;
      if (now === known) continue;
      isFresh = true;
      if (now < known) edge.shrunk = true;
      this.#fresh[i] = now < known ? now : now - known;
    }
    totals.addCounters(this.#fresh);
    totals.addSlots(row);
    if (held !== undefined && !edge.shrunk) totals.subtractSlots(held);
    totals.set(LATEST.bytesSent, this.#fresh[AT.bytesSent] as number);
    totals.set(LATEST.bytesReceived, this.#fresh[AT.bytesReceived] as number);
    totals.set(LATEST.opened, this.#fresh[AT.opened] as number);
    return { grown: growth > 0 || row.slotCount > 0, fresh: isFresh };
  }
}
