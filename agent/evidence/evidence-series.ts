/**
 * Rows of evidence with names → series, and the points of each: sums that the Collector accepts, or not.
 *
 *   sum = absorbed + growth of its rows        accepted: absorbed = sum, and the rows are settled
 *
 * As with flows, the kernel reports growth again until it is settled, so that a request that fails loses and doubles nothing. A row that was
 * sent stays with its series until it is accepted, since the request may have arrived although its answer did not. Where the kernel has less
 * of such a row than was sent, its maps were made anew: the series ends, since no sum goes backwards.
 */
import { type ExchangeClock, notBefore } from "../edges/exchange-clock.ts";
import type { MetricDescriptor } from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Resource, Temporality } from "../model/flow.ts";
import type { EvidenceRow } from "../model/kernel-evidence.ts";
import type { NumberPoint } from "../model/point.ts";

/** What a row is counted under. Equal parts mean one series. */
export interface SeriesName {
  readonly metric: MetricDescriptor;
  readonly resource: Resource;
  readonly attributes: Attributes;
}

interface Series extends SeriesName {
  /** CLOCK_BOOTTIME: the first growth happened after this. */
  sinceNs: bigint;
  /** Mapped once and kept; undefined before the first point. */
  startUnixNs: bigint | undefined;
  /** Of the last point. */
  timeUnixNs: bigint;
  absorbed: number;
  usedNs: bigint;
  /** Of the exchange under way. */
  rows: EvidenceRow[];
}

/** A point and what is settled with it. */
export interface EvidencePoint extends NumberPoint {
  readonly rows: readonly EvidenceRow[];
}

export interface SeriesOptions {
  readonly temporality: Temporality;
  readonly idleNs: bigint;
  readonly limit: number;
}

export class EvidenceSeries {
  readonly #options: SeriesOptions;
  readonly #series = new Map<string, Series>();
  /** By the id of a row that was sent: the series that it was sent in, and how much. */
  readonly #sent = new Map<string, { readonly series: Series; readonly count: number }>();
  /** Time of the last point of series that have ended, the oldest first: the next one begins no earlier. */
  readonly #endUnixNs = new Map<string, bigint>();
  /** Rows that had no series of their own, since the start. */
  overBudget = 0;

  constructor(options: SeriesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#series.size;
  }

  /** Begins an exchange. @param rows all that the kernel holds */
  begin(rows: readonly EvidenceRow[]): void {
    for (const series of this.#series.values()) series.rows = [];
    const counts = new Map(rows.map(({ id, count }) => [id, count]));
    const ended = new Set<Series>();
    for (const [id, { series, count }] of this.#sent) if ((counts.get(id) ?? 0) < count) ended.add(series);
    for (const series of ended) this.#end(keyOf(series), series);
    for (const [id, { series }] of this.#sent) if (ended.has(series)) this.#sent.delete(id);
  }

  /** Whether the row was sent before: its name stays. */
  addSent(row: EvidenceRow): boolean {
    const sent = this.#sent.get(row.id);
    if (sent === undefined) return false;
    this.#put(sent.series, row);
    return true;
  }

  /** @param overflow what it is counted under where there are as many series as may be */
  add(row: EvidenceRow, name: SeriesName, overflow: SeriesName): void {
    const known = this.#series.get(keyOf(name));
    if (known === undefined && this.#series.size >= this.#options.limit) {
      this.overBudget++;
      this.#put(this.#of(overflow, row), row);
    } else this.#put(known ?? this.#of(name, row), row);
  }

  /** Ends the exchange: the points of all series that are in use. */
  points(clock: ExchangeClock): EvidencePoint[] {
    const points: EvidencePoint[] = [];
    for (const [key, series] of this.#series) {
      const point = this.#pointOf(key, series, clock);
      if (point !== undefined) points.push(point);
      if (series.rows.length > 0) series.usedNs = clock.bootNs;
      else if (clock.bootNs - series.usedNs > this.#options.idleNs) this.#end(key, series);
    }
    return points;
  }

  /** The Collector has them. @returns what is to be settled */
  accept(points: readonly EvidencePoint[]): EvidenceRow[] {
    const settled: EvidenceRow[] = [];
    for (const point of points) {
      const series = this.#series.get(keyOf(point));
      if (series === undefined) continue;
      for (const row of point.rows) {
        series.absorbed += row.count;
        this.#sent.delete(row.id);
        settled.push(row);
      }
      if (this.#options.temporality === "delta") {
        series.absorbed = 0;
        series.startUnixNs = point.timeUnixNs;
      }
      series.rows = [];
    }
    return settled;
  }

  #of(name: SeriesName, row: EvidenceRow): Series {
    const key = keyOf(name);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const { sinceNs } = row;
    const series = { ...name, sinceNs, startUnixNs: undefined, timeUnixNs: 0n, absorbed: 0, usedNs: 0n, rows: [] };
    this.#series.set(key, series);
    return series;
  }

  #end(key: string, { timeUnixNs }: Series): void {
    this.#series.delete(key);
    this.#endUnixNs.delete(key);
    this.#endUnixNs.set(key, timeUnixNs);
    const [oldest] = this.#endUnixNs.keys();
    if (this.#endUnixNs.size > 2 * this.#options.limit && oldest !== undefined) this.#endUnixNs.delete(oldest);
  }

  #put(series: Series, row: EvidenceRow): void {
    // Growth that a killed agent had not settled: it has been sent once, under an older start.
    if (row.sinceNs < series.sinceNs) series.sinceNs = row.sinceNs;
    series.rows.push(row);
    this.#sent.set(row.id, { series, count: row.count });
  }

  #pointOf(key: string, series: Series, clock: ExchangeClock): EvidencePoint | undefined {
    const { metric, resource, attributes, rows, absorbed } = series;
    if (this.#options.temporality === "delta" && rows.length === 0) return undefined;
    series.startUnixNs ??= notBefore(this.#endUnixNs.get(key) ?? 0n, clock.startUnixNs(series.sinceNs));
    const { startUnixNs } = series;
    series.timeUnixNs = notBefore(startUnixNs, clock.timeUnixNs);
    const value = rows.reduce((sum, { count }) => sum + count, absorbed);
    return { metric, resource, attributes, startUnixNs, timeUnixNs: series.timeUnixNs, value, rows };
  }
}

export function keyOf({ metric, resource, attributes }: SeriesName): string {
  return `${metric.name}\0${resource.id}\0${JSON.stringify(Object.entries(attributes).sort(byName))}`;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
