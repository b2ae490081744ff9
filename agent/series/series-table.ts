/**
 * Named growth → the sums of flows, as one transaction each.
 *
 *   take back what was not accepted ─► budget ─► place ─► batch.flows
 *                                                              │
 *   rows to settle ◄─ batch.accept(flows of a request that the Collector accepted)
 *
 * What is not accepted until the next exchange is taken back then: the kernel says it again, larger. Growth
 * that was sent once stays with its series until it is confirmed, whatever its edge has been named since,
 * because the request may have arrived although its answer did not.
 */
import type { Edge } from "../edges/edge-state.ts";
import type { Growth } from "../edges/edge-table.ts";
import type { ExchangeClock } from "../edges/exchange-clock.ts";
import { SumPages } from "../edges/sums.ts";
import type { EdgeGrowth, Role } from "../model/edge.ts";
import type { Flow, Resource } from "../model/flow.ts";
import type { Names } from "../model/names.ts";
import type { AggregateOptions } from "./aggregate-options.ts";
import { Budget } from "./budget.ts";
import { Ended } from "./ended.ts";
import { FlowSeries, type SeriesKey } from "./flow-series.ts";
import { Place, remainderAttributes, remainderKey } from "./place.ts";

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
  /** Those of one flow that lie after its start; each is handed out once. */
  take(flow: string, startUnixNs: bigint): Flow["exemplars"];
  /** Ends an exchange: what no flow has taken is of flows that have no point. */
  clear(): void;
}

/** Gauges and counters. */
export interface SeriesStats {
  readonly flows: number;
  readonly remainders: number;
  readonly flowLimit: number;
  /** Since the agent started: how often a flow was sent to a remainder, at its coming or later. */
  readonly overBudget: number;
}

/** Besides two for each flow that the budget allows. */
const ENDS_REMEMBERED_MIN = 1_000;

export class SeriesTable {
  readonly #options: AggregateOptions;
  readonly #places = new Map<string, Place>();
  readonly #budget: Budget<Place>;
  readonly #remainders = new Map<string, FlowSeries>();
  readonly #ended: Ended;
  readonly #resources = new Map<string, { readonly resource: Resource; places: number }>();
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
    this.#ended = new Ended(ENDS_REMEMBERED_MIN + 2 * options.flowLimit);
  }

  /**
   * Takes the growth of the last batch that was not accepted out of the sums: the kernel has said it again. To be
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
   * @param growth its edges have names and a `placeKey`
   */
  add({ clock, edges, gone }: Growth): Batch {
    this.#batch++;
    for (const place of this.#budget.rebalance(this.#places.values(), mayLeave)) this.#end(place);
    this.#clearGauges();
    for (const edge of edges) this.#route(edge, clock);
    for (const edge of gone) this.#leave(edge);
    this.#forgetIdle(clock);
    return this.#makeBatch(clock);
  }

  stats(): SeriesStats {
    return {
      flows: this.#budget.residents,
      remainders: this.#remainders.size,
      flowLimit: this.#options.flowLimit,
      overBudget: this.#budget.turnedAway,
    };
  }

  /**
   * Ends series whose doubtful growth the kernel does not hold any more: its maps were made anew. Their last
   * points may have been larger than what is left of them, and no series goes backwards.
   */
  #dropLost({ bootNs }: ExchangeClock): void {
    for (const series of this.#unaccepted) {
      if (hasLost(series, bootNs)) {
        for (const edge of series.members()) edge.home = undefined;
        this.#remainders.delete(series.key);
        const place = this.#places.get(series.key);
        if (place?.series === series) place.series = undefined;
        this.#ended.forget(series);
      }
      series.dropMembers();
    }
    this.#unaccepted = [];
  }

  /** Puts a row into the series that it belongs to. */
  #route(edge: Edge, clock: ExchangeClock): void {
    const place = this.#placeOf(edge);
    place.weight += edge.weight;
    const series = (edge.home as FlowSeries | undefined) ?? this.#seriesOf(place, clock);
    if (!series.hasMembers) this.#unaccepted.push(series);
    series.activeNs = clock.bootNs;
    if (series.sinceNs !== undefined && edge.sinceNs < series.sinceNs) series.sinceNs = edge.sinceNs;
    series.add(edge);
  }

  /** Where an edge belongs by its names; entered where it was not there yet. */
  #placeOf(edge: Edge): Place {
    const key = edge.placeKey as string;
    if (edge.place?.key === key) return edge.place as Place;
    this.#leave(edge);
    const place = this.#places.get(key) ?? this.#makePlace(key, edge, edge.names as Names);
    place.edges++;
    edge.place = place;
    edge.placeKey = place.key; // one text for all edges of it
    return place;
  }

  #makePlace(key: string, edge: Edge, names: Names): Place {
    const { local } = names;
    let entry = this.#resources.get(local.id);
    if (entry === undefined) {
      entry = { resource: { id: local.id, attributes: local.resource }, places: 0 };
      this.#resources.set(local.id, entry);
    }
    entry.places++;
    const place = new Place(key, entry.resource, edge.key, names.remote, this.#options);
    this.#budget.enter(place);
    this.#places.set(key, place);
    return place;
  }

  #leave(edge: Edge): void {
    const place = edge.place as Place | undefined;
    if (place === undefined) return;
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

  #seriesOf(place: Place, clock: ExchangeClock): FlowSeries {
    if (!place.resident) return this.#remainder(place.resource, place.role, clock);
    place.series ??= this.#ended.revive(place.key) ?? this.#makeSeries(place, clock);
    return place.series;
  }

  #remainder(resource: Resource, role: Role, clock: ExchangeClock): FlowSeries {
    const key = remainderKey(resource.id, role);
    let series = this.#remainders.get(key);
    if (series === undefined) {
      const attributes = remainderAttributes(role);
      series = this.#ended.revive(key) ?? this.#makeSeries({ key, resource, role, attributes }, clock);
      this.#remainders.set(key, series);
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
    for (const [key, series] of this.#remainders) {
      if (series.inDoubt || series.activeNs > idleSinceNs) continue;
      this.#remainders.delete(key);
      this.#ended.end(series);
    }
  }

  #makeBatch(clock: ExchangeClock): Batch {
    const cumulative = this.#options.temporality === "cumulative";
    const flows: FlowSeries[] = [];
    for (const series of this.#series()) {
      if (series.sinceNs !== undefined) this.#start(series, series.sinceNs, clock);
      if (cumulative || series.hasMembers) flows.push(series);
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
      series.accept(rows);
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

/** Whether the kernel does not hold all of its doubtful growth any more. */
function hasLost(series: FlowSeries, bootNs: bigint): boolean {
  for (const edge of series.members()) {
    if (edge.home === series && (edge.shrunk || edge.seenNs !== bootNs)) return true;
  }
  return false;
}

/** A series may end when no answer is owed for any of its growth. */
function mayLeave({ series }: Place): boolean {
  return series === undefined || !series.inDoubt;
}

function later(a: bigint, b: bigint): bigint {
  if (a < b) return b;
  return a;
}
