/**
 * Named growth → the sums of flows, as one transaction each.
 *
 *   take back what was not accepted ─► budget ─► set ─► batch.flows
 *                                                              │
 *   rows to settle ◄─ batch.accept(flows of a request that the Collector accepted)
 *
 * What is not accepted until the next exchange is taken back then: the kernel reports it again, larger. Growth
 * that was sent once stays with its series until it is confirmed, whatever its edge has been named since,
 * because the request may have arrived although its answer did not.
 */
import type { Edge } from "../edges/edge-state.ts";
import type { Growth } from "../edges/edge-table.ts";
import { type ExchangeClock, notBefore } from "../edges/exchange-clock.ts";
import { SumPages } from "../edges/sums.ts";
import type { EdgeGrowth, Role } from "../model/edge.ts";
import type { Flow, Resource } from "../model/flow.ts";
import type { Names } from "../model/names.ts";
import type { AggregateOptions } from "./aggregate-options.ts";
import { AttributeSet, overflowAttributes, overflowKey } from "./attribute-set.ts";
import { Budget } from "./budget.ts";
import { FlowSeries, type SeriesKey } from "./flow-series.ts";
import { RetiredSeries } from "./retired-series.ts";

export interface Batch {
  readonly timeUnixNs: bigint;
  /** Each flow is valid until the next exchange is taken. */
  readonly flows: readonly Flow[];
  /**
   * Makes the growth of these flows part of their sums for good. Call it with the flows of one request
   * that the Collector accepted; do nothing for one that failed.
   *
   * @returns the rows to settle; empty for flows that were accepted before
   * @throws RangeError for a flow of another batch
   */
  accept(flows: readonly Flow[]): EdgeGrowth[];
}

/** Which connections stand for a flow's points; spans/exemplars.ts fits. */
export interface ExemplarSource {
  /** Those of one flow from its start to the exchange's time; each is handed out once. */
  take(flow: string, startUnixNs: bigint, untilUnixNs: bigint): Flow["exemplars"];
  /** Ends an exchange: what lies before it and no flow has taken is of flows that have no point. */
  clear(untilUnixNs: bigint): void;
}

/** Gauges and counters. */
export interface SeriesStats {
  readonly flows: number;
  readonly overflowSeries: number;
  readonly flowLimit: number;
  /** Since the agent started: how often a flow was sent to an overflow series, at its coming or later. */
  readonly overBudget: number;
}

/** Besides two for each flow that the budget allows. */
const ENDS_REMEMBERED_MIN = 1_000;

export class SeriesTable {
  readonly #options: AggregateOptions;
  readonly #sets = new Map<string, AttributeSet>();
  readonly #budget: Budget<AttributeSet>;
  readonly #overflowSeries = new Map<string, FlowSeries>();
  readonly #retired: RetiredSeries;
  readonly #resources = new Map<string, { readonly resource: Resource; sets: number }>();
  readonly #pages = new SumPages();
  readonly #exemplars: ExemplarSource | undefined;
  /** Series that carry rows of the last batch which were not accepted. */
  #unaccepted: FlowSeries[] = [];
  /** Series whose last point was accepted in this batch. */
  #gone: FlowSeries[] = [];
  #batch = 0;

  /** @param exemplars of connection spans, by the key of their flow */
  constructor(options: AggregateOptions, exemplars?: ExemplarSource) {
    this.#options = options;
    this.#exemplars = exemplars;
    this.#budget = new Budget(options.flowLimit);
    this.#retired = new RetiredSeries(ENDS_REMEMBERED_MIN + 2 * options.flowLimit);
  }

  /**
   * Takes the growth of the last batch that was not accepted out of the sums: the kernel reports it again. To be
   * called with each exchange before its edges are named.
   */
  takeBack({ clock }: Growth): void {
    for (const series of this.#gone) series.sums.release();
    this.#gone = [];
    for (const series of this.#unaccepted) series.rollBack();
    this.#dropLost(clock);
  }

  /**
   * Puts growth into the sums that it belongs to.
   *
   * @param growth its edges have names and a `attributeSetKey`
   */
  add({ clock, edges, gone }: Growth): Batch {
    this.#batch++;
    for (const set of this.#budget.rebalance(this.#sets.values(), mayLeave)) this.#retire(set);
    this.#clearGauges();
    for (const edge of edges) this.#route(edge, clock);
    for (const edge of gone) this.#leave(edge);
    this.#forgetIdle(clock);
    return this.#makeBatch(clock);
  }

  stats(): SeriesStats {
    return {
      flows: this.#budget.admitted,
      overflowSeries: this.#overflowSeries.size,
      flowLimit: this.#options.flowLimit,
      overBudget: this.#budget.overflowed,
    };
  }

  /**
   * Ends series whose doubtful growth the kernel does not hold any more: its maps were made anew. Their last
   * points may have been larger than what is left of them, and no series goes backwards.
   */
  #dropLost({ bootNs }: ExchangeClock): void {
    for (const series of this.#unaccepted) {
      if (hasLost(series, bootNs)) {
        for (const edge of series.members()) edge.sentIn = undefined;
        this.#overflowSeries.delete(series.key);
        const set = this.#sets.get(series.key);
        if (set?.series === series) set.series = undefined;
        this.#retired.forget(series);
      }
      series.dropMembers();
    }
    this.#unaccepted = [];
  }

  /** Puts a row into the series that it belongs to. */
  #route(edge: Edge, clock: ExchangeClock): void {
    const set = this.#setOf(edge);
    set.weight += edge.weight;
    const series = (edge.sentIn as FlowSeries | undefined) ?? this.#seriesOf(set, clock);
    if (!series.hasMembers) this.#unaccepted.push(series);
    series.activeNs = clock.bootNs;
    if (series.sinceNs !== undefined && edge.sinceNs < series.sinceNs) series.sinceNs = edge.sinceNs;
    series.add(edge);
  }

  /** Where an edge belongs by its names; entered where it was not there yet. */
  #setOf(edge: Edge): AttributeSet {
    const key = edge.attributeSetKey as string;
    if (edge.attributeSet?.key === key) return edge.attributeSet as AttributeSet;
    this.#leave(edge);
    const set = this.#sets.get(key) ?? this.#makeSet(key, edge, edge.names as Names);
    set.edges++;
    edge.attributeSet = set;
    edge.attributeSetKey = set.key; // one text for all edges of it
    return set;
  }

  #makeSet(key: string, edge: Edge, names: Names): AttributeSet {
    const { local } = names;
    let entry = this.#resources.get(local.id);
    if (entry === undefined) {
      entry = { resource: { id: local.id, attributes: local.resource }, sets: 0 };
      this.#resources.set(local.id, entry);
    }
    entry.sets++;
    const set = new AttributeSet(key, entry.resource, edge.key, names.remote, this.#options);
    this.#budget.enter(set);
    this.#sets.set(key, set);
    return set;
  }

  #leave(edge: Edge): void {
    const set = edge.attributeSet as AttributeSet | undefined;
    if (set === undefined) return;
    edge.attributeSet = undefined;
    set.edges--;
    if (set.edges > 0) return;
    this.#budget.leave(set);
    this.#retire(set);
    this.#sets.delete(set.key);
    const entry = this.#resources.get(set.resource.id);
    if (entry !== undefined && --entry.sets === 0) this.#resources.delete(set.resource.id);
  }

  #retire(set: AttributeSet): void {
    if (set.series !== undefined) this.#retired.retire(set.series);
    set.series = undefined;
  }

  #seriesOf(set: AttributeSet, clock: ExchangeClock): FlowSeries {
    if (!set.admitted) return this.#overflowSeriesOf(set.resource, set.role, clock);
    set.series ??= this.#retired.reopen(set.key) ?? this.#makeSeries(set, clock);
    return set.series;
  }

  #overflowSeriesOf(resource: Resource, role: Role, clock: ExchangeClock): FlowSeries {
    const key = overflowKey(resource.id, role);
    let series = this.#overflowSeries.get(key);
    if (series === undefined) {
      const attributes = overflowAttributes(role);
      series = this.#retired.reopen(key) ?? this.#makeSeries({ key, resource, role, attributes }, clock);
      this.#overflowSeries.set(key, series);
    }
    return series;
  }

  #makeSeries(of: SeriesKey, { bootNs }: ExchangeClock): FlowSeries {
    const series = new FlowSeries(of, this.#pages);
    series.sinceNs = bootNs;
    return series;
  }

  #clearGauges(): void {
    for (const series of this.#series()) {
      series.open = 0;
      series.limit = 0;
    }
  }

  #forgetIdle({ bootNs }: ExchangeClock): void {
    const idleSinceNs = bootNs - BigInt(this.#options.idleMs) * 1_000_000n;
    for (const [key, series] of this.#overflowSeries) {
      if (series.inDoubt || series.activeNs > idleSinceNs) continue;
      this.#overflowSeries.delete(key);
      this.#retired.retire(series);
    }
  }

  #makeBatch(clock: ExchangeClock): Batch {
    const cumulative = this.#options.temporality === "cumulative";
    const flows: FlowSeries[] = [];
    for (const series of this.#series()) {
      if (series.sinceNs !== undefined) this.#start(series, series.sinceNs, clock);
      if (cumulative || series.hasMembers) flows.push(series);
    }
    for (const series of this.#retired.awaitingFinalPoint()) flows.push(series);
    for (const series of flows) {
      series.batch = this.#batch;
      series.timeUnixNs = notBefore(series.startUnixNs, clock.timeUnixNs);
      series.exemplars = this.#exemplars?.take(series.key, series.startUnixNs, clock.timeUnixNs);
    }
    this.#exemplars?.clear(clock.timeUnixNs);
    const batch = this.#batch;
    return {
      timeUnixNs: clock.timeUnixNs,
      flows,
      accept: (accepted) => this.#accept(accepted, batch),
    };
  }

  #start(series: FlowSeries, sinceNs: bigint, clock: ExchangeClock): void {
    series.startUnixNs = notBefore(this.#retired.endUnixNs(series.key) ?? 0n, clock.startUnixNs(sinceNs));
    series.sinceNs = undefined;
  }

  #accept(flows: readonly Flow[], batch: number): EdgeGrowth[] {
    const rows: EdgeGrowth[] = [];
    for (const series of flows) {
      if (!(series instanceof FlowSeries) || series.batch !== batch || batch !== this.#batch) {
        throw new RangeError("a flow of another batch cannot be accepted");
      }
      series.accept(rows);
      if (this.#options.temporality === "delta") series.restart(series.timeUnixNs);
      if (this.#retired.finalPointAccepted(series)) this.#gone.push(series);
    }
    return rows;
  }

  *#series(): Iterable<FlowSeries> {
    for (const { series } of this.#sets.values()) if (series !== undefined) yield series;
    yield* this.#overflowSeries.values();
  }
}

/** Whether the kernel does not hold all of its doubtful growth any more. */
function hasLost(series: FlowSeries, bootNs: bigint): boolean {
  for (const edge of series.members()) {
    if (edge.sentIn === series && (edge.shrunk || edge.seenNs !== bootNs)) return true;
  }
  return false;
}

/** A series may end when no answer is owed for any of its growth. */
function mayLeave({ series }: AttributeSet): boolean {
  return series === undefined || !series.inDoubt;
}
