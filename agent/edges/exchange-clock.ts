/**
 * From the kernel's CLOCK_BOOTTIME to the wall clock that OTLP wants, one mapping an exchange.
 *
 * The two clocks drift together (both are slewed), so mappings of two exchanges differ by nanoseconds,
 * except where the wall clock was set. A series' start is mapped once and kept.
 */
import type { Exchange } from "../model/probe-event.ts";

/**
 * Starts lie this much after the moment that they stand for. Two readings of two clocks may disagree by
 * a preemption; a start that fell before the last point of the same series would cut that point off
 * (OTLP's rule for overlaps), while growth is never exported so soon after a settled exchange.
 */
export const START_MARGIN_NS = 1_000_000n;

export class ExchangeClock {
  /** The exchange's own moment: the time of all its points. */
  readonly timeUnixNs: bigint;
  readonly bootNs: bigint;
  readonly #offsetNs: bigint;

  constructor({ bootNs, realtimeNs }: Pick<Exchange, "bootNs" | "realtimeNs">) {
    this.bootNs = bootNs;
    this.timeUnixNs = realtimeNs;
    this.#offsetNs = realtimeNs - bootNs;
  }

  /** Start of a series whose first growth happened after `sinceNs`; never later than now. */
  startUnixNs(sinceNs: bigint): bigint {
    const start = sinceNs + this.#offsetNs + START_MARGIN_NS;
    return start < this.timeUnixNs ? start : this.timeUnixNs;
  }
}

/** The wall clock may have been set back behind the start of a series, and no point lies before its start. */
export function notBefore(startUnixNs: bigint, timeUnixNs: bigint): bigint {
  return timeUnixNs < startUnixNs ? startUnixNs : timeUnixNs;
}
