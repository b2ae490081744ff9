/**
 * Exchanges → batches of flows, as one transaction each.
 *
 *   rows ─► take back what was not accepted ─► observe edges ─► budget ─► name and place ─► batch.flows
 *                                                                                              │
 *                rows to settle ◄─ batch.accept(flows of a request that the Collector accepted) ◄┘
 *
 * What is not accepted until the next exchange is taken back then: the kernel says it again, larger. Growth
 * that was sent once stays with its series until it is confirmed, whatever its edge has been named since,
 * because the request may have arrived although its answer did not.
 */

import type { EdgeGrowth, EdgeKey, Role } from "../model/edge.ts";
import type { Flow, Resource } from "../model/flow.ts";
import type { Identity } from "../model/names.ts";
import type { Exchange, NamespaceCounters } from "../model/probe-event.ts";
import type { AggregateOptions } from "./aggregate-options.ts";
import { Budget, weightOf } from "./budget.ts";
import { ExchangeClock } from "./clock.ts";
import { COUNTERS, NumberPages } from "./counters.ts";
import { Coverage, type NamespaceCoverage } from "./coverage.ts";
import type { Edge, Stretch } from "./edges.ts";
import { EdgeTable } from "./edges.ts";
import { Ended } from "./ended.ts";
import { FlowSeries } from "./flow-series.ts";
import { type Place, placeAttributes, placeKey, remainderAttributes, remainderKey } from "./place.ts";
import type { Snapshot } from "./snapshot.ts";
import { snapshotOf } from "./snapshot-of.ts";

/** What aggregation reads of an exchange; ExchangeData fits. */
export interface ExchangeRows {
  readonly rows: readonly EdgeGrowth[];
  readonly namespaces: readonly NamespaceCounters[];
  readonly end: Pick<Exchange, "bootNs" | "realtimeNs">;
}

export interface Batch {
  readonly timeUnixNs: bigint;
  /** Each flow is valid until the next exchange is aggregated. */
  readonly flows: readonly Flow[];
  readonly rows: number;
  /** Rows left out because their names are awaited: they stay in the kernel. */
  readonly pendingRows: number;
  /** Flows that were sent to a remainder in this exchange, at their coming or later. */
  readonly overBudget: number;
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
  /** Those of one flow that lie after its start; each is handed out once. */
  take(flow: string, startUnixNs: bigint): Flow["exemplars"];
  /** Ends an exchange: what no flow has taken is of flows that have no point. */
  clear(): void;
}

/** Gauges and counters of the aggregation itself. */
export interface AggregateStats {
  readonly edges: number;
  readonly flows: number;
  readonly remainders: number;
  readonly flowLimit: number;
  /** In the last exchange. */
  readonly pendingRows: number;
  /** Since the agent started: how often a flow was sent to a remainder, at its coming or later. */
  readonly overBudget: number;
}

/** Besides two for each flow that the budget allows. */
const ENDS_REMEMBERED_MIN = 1_000;

export class Aggregate {
  readonly #options: AggregateOptions;
  readonly #identity: Identity;
  readonly #edges: EdgeTable;
  readonly #places = new Map<string, Place>();
  readonly #budget: Budget<Place>;
  readonly #remainders = new Map<string, FlowSeries>();
  readonly #ended: Ended;
  readonly #resources = new Map<string, { readonly resource: Resource; places: number }>();
  readonly #pool = new NumberPages(COUNTERS);
  readonly #coverage = new Coverage();
  readonly #exemplars: ExemplarSource | undefined;
  /** Series that carry rows of the last batch which were not accepted. */
  #unaccepted: FlowSeries[] = [];
  /** Series whose last point was accepted in this batch. */
  #gone: FlowSeries[] = [];
  #batch = 0;
  #clock: ExchangeClock | undefined;
  #previousNs: bigint | undefined;
  #pendingRows = 0;

  /**
   * @param decodeKey decodes EdgeGrowth.id; called once an edge
   * @param exemplars of connection spans, by the key of their flow
   */
  constructor(
    options: AggregateOptions,
    identity: Identity,
    decodeKey: (id: string) => EdgeKey,
    exemplars?: ExemplarSource,
  ) {
    this.#options = options;
    this.#identity = identity;
    this.#exemplars = exemplars;
    this.#edges = new EdgeTable(decodeKey);
    this.#budget = new Budget(options.flowLimit);
    this.#ended = new Ended(ENDS_REMEMBERED_MIN + 2 * options.flowLimit);
  }

  aggregate({ rows, namespaces, end }: ExchangeRows): Batch {
    const overBudgetBefore = this.#budget.turnedAway;
    const clock = new ExchangeClock(end);
    this.#previousNs = this.#clock?.bootNs;
    this.#clock = clock;
    this.#batch++;
    this.#pendingRows = 0;

    for (const series of this.#gone) this.#pool.give(series);
    this.#gone = [];
    for (const series of this.#unaccepted) series.rollBack();
    const edges = this.#observe(rows, clock);
    this.#dropLost(clock);
    for (const place of this.#budget.rebalance(this.#places.values(), mayLeave)) this.#end(place);
    this.#clearGauges();
    for (const edge of edges) this.#route(edge, clock);
    this.#forgetIdle(clock);
    this.#coverage.close(namespaces);
    return this.#makeBatch(clock, rows.length, this.#budget.turnedAway - overBudgetBefore);
  }

  /** Since the first exchange that saw each namespace. */
  coverage(): NamespaceCoverage[] {
    return this.#coverage.ratios();
  }

  snapshot(): Snapshot {
    const clock = this.#clock;
    if (clock === undefined) return snapshotOf([], undefined);
    const intervalNs = this.#previousNs === undefined ? 0n : clock.bootNs - this.#previousNs;
    return snapshotOf(this.#edges.values(), { timeUnixNs: clock.timeUnixNs, intervalNs });
  }

  stats(): AggregateStats {
    return {
      edges: this.#edges.size,
      flows: this.#budget.residents,
      remainders: this.#remainders.size,
      flowLimit: this.#options.flowLimit,
      pendingRows: this.#pendingRows,
      overBudget: this.#budget.turnedAway,
    };
  }

  /** A second row of an edge is left out: what it says beyond the first is still in the kernel. */
  #observe(rows: readonly EdgeGrowth[], clock: ExchangeClock): Edge[] {
    const edges: Edge[] = [];
    for (const row of rows) {
      const edge = this.#edges.find(row.id);
      if (edge.seenNs === clock.bootNs) continue;
      this.#edges.observe(edge, row, clock.bootNs, this.#previousNs);
      this.#coverage.count(edge.key, this.#edges.fresh);
      edge.weight = weightOf(this.#edges.fresh);
      edges.push(edge);
    }
    return edges;
  }

  /**
   * Ends series whose doubtful growth the kernel does not hold any more: its maps were made anew. Their last
   * points may have been larger than what is left of them, and no series goes backwards.
   */
  #dropLost({ bootNs }: ExchangeClock): void {
    for (const series of this.#unaccepted) {
      const lost = series.members.some((edge) => edge.home === series && (edge.shrunk || edge.seenNs !== bootNs));
      if (lost) {
        for (const edge of series.members) edge.home = undefined;
        this.#remainders.delete(series.key);
        const place = this.#places.get(series.key);
        if (place?.series === series) place.series = undefined;
        this.#ended.forget(series);
      }
      series.dropMembers();
    }
    this.#unaccepted = [];
  }

  /** Puts a row into the series that it belongs to, unless its names are awaited. */
  #route(edge: Edge, clock: ExchangeClock): void {
    if (edge.repeated !== undefined && this.#mustSplit(edge, edge.repeated, clock)) edge.splitOff(edge.repeated);
    edge.repeated = undefined;
    if (edge.home === undefined && !this.#name(edge, clock)) {
      this.#pendingRows++;
      return;
    }
    const place = edge.place as Place;
    place.weight += edge.weight;
    const series = edge.home ?? this.#seriesOf(place);
    if (series.members.length === 0) this.#unaccepted.push(series);
    series.activeNs = clock.bootNs;
    if (series.sinceNs !== undefined && edge.sinceNs < series.sinceNs) series.sinceNs = edge.sinceNs;
    series.add(edge);
  }

  /**
   * Whether what is new in a row must be kept apart from what it repeats: that was sent under another name,
   * or its name is still awaited, and by then what is new may be another owner's.
   */
  #mustSplit(edge: Edge, repeated: Stretch, { bootNs }: ExchangeClock): boolean {
    const { place } = edge;
    if (edge.split !== undefined) return false;
    if (edge.home === undefined || place === undefined) return true;
    const { version } = this.#identity;
    if (edge.version === version) return false;
    const later = this.#identity.identify(edge.key, repeated.saidNs, edge.untilNs, bootNs);
    if (later.state !== "named" || placeKey(edge.key, later, this.#options) !== place.key) return true;
    edge.version = later.passing ? -1 : version;
    return false;
  }

  /** @returns whether the edge has names and a place */
  #name(edge: Edge, { bootNs }: ExchangeClock): boolean {
    const { version } = this.#identity;
    if (edge.version === version && edge.place !== undefined) return true;
    const untilNs = edge.split?.untilNs ?? edge.untilNs;
    const answer = this.#identity.identify(edge.key, edge.sinceNs, untilNs, bootNs);
    edge.version = answer.state === "named" && !answer.passing ? version : -1;
    if (answer.state === "pending") {
      // Without growth there is nothing to wait for: what is open stays with whom it was.
      if (!edge.grown && edge.place !== undefined) return true;
      edge.names = undefined;
      edge.pendingWhy = answer.why;
      return false;
    }
    edge.names = answer;
    edge.pendingWhy = "";
    const key = placeKey(edge.key, answer, this.#options);
    if (edge.place?.key === key) return true;
    if (edge.place !== undefined) this.#leave(edge, edge.place);
    const place = this.#places.get(key) ?? this.#makePlace(key, edge, answer.local);
    place.edges++;
    edge.place = place;
    return true;
  }

  #makePlace(
    key: string,
    edge: Edge,
    local: { readonly id: string; readonly resource: Resource["attributes"] },
  ): Place {
    let entry = this.#resources.get(local.id);
    if (entry === undefined) {
      entry = { resource: { id: local.id, attributes: local.resource }, places: 0 };
      this.#resources.set(local.id, entry);
    }
    entry.places++;
    const place: Place = {
      key,
      resource: entry.resource,
      role: edge.key.role,
      attributes: placeAttributes(edge.key, edge.names as NonNullable<Edge["names"]>, this.#options),
      edges: 0,
      weight: 0,
      resident: false,
      eligible: !edge.key.overflow,
      series: undefined,
    };
    this.#budget.enter(place);
    this.#places.set(key, place);
    return place;
  }

  #leave(edge: Edge, place: Place): void {
    edge.place = undefined;
    place.edges--;
    if (place.edges > 0) return;
    this.#budget.leave(place);
    this.#end(place);
    this.#places.delete(place.key);
    const entry = this.#resources.get(place.resource.id);
    if (entry !== undefined && --entry.places === 0) this.#resources.delete(place.resource.id);
  }

  #end(place: Place): void {
    if (place.series !== undefined) this.#ended.end(place.series);
    place.series = undefined;
  }

  #seriesOf(place: Place): FlowSeries {
    if (!place.resident) return this.#remainder(place.resource, place.role);
    place.series ??= this.#ended.revive(place.key) ?? this.#makeSeries(place);
    return place.series;
  }

  #remainder(resource: Resource, role: Role): FlowSeries {
    const key = remainderKey(resource.id, role);
    let series = this.#remainders.get(key);
    if (series === undefined) {
      const attributes = remainderAttributes(role);
      series = this.#ended.revive(key) ?? this.#makeSeries({ key, resource, role, attributes });
      this.#remainders.set(key, series);
    }
    return series;
  }

  #makeSeries(place: Pick<Place, "key" | "resource" | "attributes" | "role">): FlowSeries {
    const series = new FlowSeries(place, this.#pool.take());
    series.sinceNs = this.#clock?.bootNs;
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
    for (const edge of this.#edges.values()) {
      if (edge.seenNs === bootNs) continue;
      this.#edges.rest(edge);
      if (edge.seenNs > idleSinceNs) continue;
      if (edge.place !== undefined) this.#leave(edge, edge.place);
      this.#edges.remove(edge);
    }
    for (const [key, series] of this.#remainders) {
      if (series.inDoubt || series.activeNs > idleSinceNs) continue;
      this.#remainders.delete(key);
      this.#ended.end(series);
    }
  }

  #makeBatch(clock: ExchangeClock, rows: number, overBudget: number): Batch {
    const cumulative = this.#options.temporality === "cumulative";
    const flows: FlowSeries[] = [];
    for (const series of this.#series()) {
      if (series.sinceNs !== undefined) this.#start(series, series.sinceNs, clock);
      if (cumulative || series.members.length > 0 || series.hasMoved) flows.push(series);
    }
    for (const series of this.#ended.unsaid()) flows.push(series);
    for (const series of flows) {
      series.batch = this.#batch;
      // The wall clock may have been set back behind the start, and no point lies before its start.
      series.timeUnixNs = later(clock.timeUnixNs, series.startUnixNs);
      series.exemplars = this.#exemplars?.take(series.key, series.startUnixNs);
    }
    this.#exemplars?.clear();
    const batch = this.#batch;
    return {
      timeUnixNs: clock.timeUnixNs,
      flows,
      rows,
      pendingRows: this.#pendingRows,
      overBudget,
      accept: (accepted) => this.#accept(accepted, batch),
    };
  }

  #start(series: FlowSeries, sinceNs: bigint, clock: ExchangeClock): void {
    series.startUnixNs = later(clock.startUnixNs(sinceNs), this.#ended.endUnixNs(series.key) ?? 0n);
    series.sinceNs = undefined;
  }

  #accept(flows: readonly Flow[], batch: number): EdgeGrowth[] {
    const rows: EdgeGrowth[] = [];
    for (const series of flows) {
      if (!(series instanceof FlowSeries) || series.batch !== batch || batch !== this.#batch) {
        throw new RangeError("a flow of another batch cannot be accepted");
      }
      for (const row of series.accept()) rows.push(row);
      if (this.#options.temporality === "delta") series.restart(series.timeUnixNs);
      if (this.#ended.said(series)) this.#gone.push(series);
    }
    return rows;
  }

  *#series(): Iterable<FlowSeries> {
    for (const { series } of this.#places.values()) if (series !== undefined) yield series;
    yield* this.#remainders.values();
  }
}

/** A series may end when no answer is owed for any of its growth. */
function mayLeave({ series }: Place): boolean {
  return series === undefined || !series.inDoubt;
}

function later(a: bigint, b: bigint): bigint {
  if (a < b) return b;
  return a;
}
