/**
 * Series that were retired: each sends one final point with nothing open. Their ends are remembered, so that a
 * series that comes back starts no earlier than its former one ended.
 */
import type { FlowSeries } from "./flow-series.ts";

export class RetiredSeries {
  readonly #limit: number;
  /** Series whose final point was not accepted yet. */
  readonly #awaiting = new Map<string, FlowSeries>();
  /** Time of the last point, by key, oldest first. */
  readonly #endUnixNs = new Map<string, bigint>();

  /** @param limit how many ends are remembered */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Retires a series of which nothing is in doubt. It awaits its final point until that is accepted, or reopen(). */
  retire(series: FlowSeries): void {
    series.open = 0;
    series.limit = 0;
    this.#remember(series);
    this.#awaiting.set(series.key, series);
    if (this.#awaiting.size > this.#limit) this.#awaiting.delete(this.#awaiting.keys().next().value as string);
  }

  /** Ends a series without a final point. */
  forget(series: FlowSeries): void {
    this.#awaiting.delete(series.key);
    this.#remember(series);
  }

  awaitingFinalPoint(): Iterable<FlowSeries> {
    return this.#awaiting.values();
  }

  /** @returns whether the series was a retired one: its final point is accepted, and it is gone now */
  finalPointAccepted(series: FlowSeries): boolean {
    if (this.#awaiting.get(series.key) !== series) return false;
    this.#awaiting.delete(series.key);
    this.#remember(series);
    return true;
  }

  /** Takes back a series whose final point was not accepted: it goes on as it was. */
  reopen(key: string): FlowSeries | undefined {
    const series = this.#awaiting.get(key);
    this.#awaiting.delete(key);
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
