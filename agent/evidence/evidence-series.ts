/**
 * Rows of evidence with names → series, and the points of each: sums that the Collector accepts, or not.
 *
 *   sum = absorbed + growth of its rows        accepted: absorbed = sum, and the rows are settled
 *
 * As with flows, the kernel reports growth again until it is settled, so that a request that fails loses and doubles nothing. A row that was
 * sent stays with its series until it is accepted, since the request may have arrived although its answer did not.
 */
import type { ExchangeClock } from "../edges/exchange-clock.ts";
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
  /** CLOCK_BOOTTIME: of the first growth, and where its last point ended. */
  startNs: bigint;
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
  /** By the id of a row that was sent: the series that it was sent in. */
  #sentIn = new Map<string, Series>();
  #rowsNow = new Set<string>();
  /** Rows that had no series of their own, since the start. */
  overBudget = 0;

  constructor(options: SeriesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#series.size;
  }

  /** Begins an exchange. */
  begin(): void {
    for (const series of this.#series.values()) series.rows = [];
    this.#rowsNow = new Set();
  }

  /** Whether the row was sent before: its name stays. */
  addSent(row: EvidenceRow): boolean {
    const series = this.#sentIn.get(row.id);
    if (series === undefined) return false;
    this.#put(series, row);
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
    for (const id of this.#sentIn.keys()) if (!this.#rowsNow.has(id)) this.#sentIn.delete(id);
    const points: EvidencePoint[] = [];
    for (const [key, series] of this.#series) {
      if (series.rows.length > 0) series.usedNs = clock.bootNs;
      else if (clock.bootNs - series.usedNs > this.#options.idleNs) this.#series.delete(key);
      const point = this.#pointOf(series, clock);
      if (point !== undefined) points.push(point);
    }
    return points;
  }

  /** The Collector has them. @returns what is to be settled */
  accept(points: readonly EvidencePoint[], clock: ExchangeClock): EvidenceRow[] {
    const settled: EvidenceRow[] = [];
    for (const { rows, metric, resource, attributes } of points) {
      const series = this.#series.get(keyOf({ metric, resource, attributes }));
      if (series === undefined) continue;
      for (const row of rows) {
        series.absorbed += row.count;
        this.#sentIn.delete(row.id);
        settled.push(row);
      }
      if (this.#options.temporality === "delta") {
        series.absorbed = 0;
        series.startNs = clock.bootNs;
      }
      series.rows = [];
    }
    return settled;
  }

  #of(name: SeriesName, row: EvidenceRow): Series {
    const key = keyOf(name);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const series = { ...name, startNs: row.sinceNs, absorbed: 0, usedNs: 0n, rows: [] };
    this.#series.set(key, series);
    return series;
  }

  #put(series: Series, row: EvidenceRow): void {
    // Growth that a killed agent had not settled: it has been sent once, under an older start.
    if (series.absorbed === 0 && row.sinceNs < series.startNs) series.startNs = row.sinceNs;
    series.rows.push(row);
    this.#sentIn.set(row.id, series);
    this.#rowsNow.add(row.id);
  }

  #pointOf(series: Series, clock: ExchangeClock): EvidencePoint | undefined {
    const { metric, resource, attributes, rows, absorbed } = series;
    if (this.#options.temporality === "delta" && rows.length === 0) return undefined;
    const value = rows.reduce((sum, { count }) => sum + count, absorbed);
    const startUnixNs = clock.startUnixNs(series.startNs);
    return { metric, resource, attributes, startUnixNs, timeUnixNs: clock.timeUnixNs, value, rows };
  }
}

export function keyOf({ metric, resource, attributes }: SeriesName): string {
  return `${metric.name}\0${resource.id}\0${JSON.stringify(Object.entries(attributes).sort(byName))}`;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
