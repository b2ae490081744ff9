/**
 * Series that have ended: they say so once, with nothing open, and are remembered so that a series that
 * comes back starts no earlier than its former one ended.
 */
import type { FlowSeries } from "./flow-series.ts";

export class Ended {
  readonly #limit: number;
  /** Series whose last point was not accepted yet. */
  readonly #unsaid = new Map<string, FlowSeries>();
  /** Time of the last point, by key, oldest first. */
  readonly #endUnixNs = new Map<string, bigint>();

  /** @param limit how many ends are remembered */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Ends a series of which nothing is in doubt; it is in unsaid() until said() or revive(). */
  end(series: FlowSeries): void {
    series.open = 0;
    series.limit = 0;
    this.#remember(series);
    this.#unsaid.set(series.key, series);
    if (this.#unsaid.size > this.#limit) this.#unsaid.delete(this.#unsaid.keys().next().value as string);
  }

  /** Ends a series without a last point. */
  forget(series: FlowSeries): void {
    this.#unsaid.delete(series.key);
    this.#remember(series);
  }

  unsaid(): Iterable<FlowSeries> {
    return this.#unsaid.values();
  }

  /** @returns whether the accepted series was an ended one: it is gone now */
  said(series: FlowSeries): boolean {
    if (this.#unsaid.get(series.key) !== series) return false;
    this.#unsaid.delete(series.key);
    this.#remember(series);
    return true;
  }

  /** Takes a series back that has not said yet that it ended: it goes on as it was. */
  revive(key: string): FlowSeries | undefined {
    const series = this.#unsaid.get(key);
    this.#unsaid.delete(key);
    return series;
  }

  /** Time of the last point that a former series of this key sent; undefined when there was none of late. */
  endUnixNs(key: string): bigint | undefined {
    return this.#endUnixNs.get(key);
  }

  #remember({ key, timeUnixNs }: FlowSeries): void {
    this.#endUnixNs.delete(key);
    this.#endUnixNs.set(key, timeUnixNs);
    if (this.#endUnixNs.size > this.#limit) this.#endUnixNs.delete(this.#endUnixNs.keys().next().value as string);
  }
}
