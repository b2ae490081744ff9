/**
 * Counters that the kernel itself keeps → points: sums since the kernel counts, or, as deltas, since what the Collector accepted last.
 *
 * Nothing is settled: the kernel forgets none. A counter that was not there at the last look has counted from 0 since then. Of those at
 * the first look nobody knows that: as deltas, what they had counted by then is in no point, since whoever looked before has sent it.
 * A start is mapped to the wall clock once and kept.
 */
import { type ExchangeClock, notBefore } from "../edges/exchange-clock.ts";
import type { NumberPoint } from "../model/point.ts";
import type { SeriesName } from "./evidence-series.ts";

/** A point and whose it is. */
export interface CounterPoint extends NumberPoint {
  readonly counter: string;
}

export interface KernelCounter {
  /** One of another life has another id. */
  readonly id: string;
  /** CLOCK_BOOTTIME: it counts since then at the earliest. */
  readonly sinceNs: bigint;
  readonly value: number;
}

interface Seen {
  startUnixNs: bigint;
  /** As deltas: what the Collector has accepted, or what was there before. */
  accepted: number;
}

/** Three of each net namespace that a probe reports, and those that are gone for a while. */
const COUNTERS_MAX = 32_768;

export class KernelCounters {
  readonly #deltas: boolean;
  /** By id; those that were not looked at for longest come first. */
  readonly #seen = new Map<string, Seen>();
  #lastLookNs: bigint | undefined;
  #lookNs: bigint | undefined;

  /** @param deltas instead of sums since their start */
  constructor(deltas: boolean) {
    this.#deltas = deltas;
  }

  /** Begins an exchange: all counters are looked at in each, also those whose Resource is not known yet. */
  begin({ bootNs }: ExchangeClock): void {
    this.#lastLookNs = this.#lookNs;
    this.#lookNs = bootNs;
  }

  look({ id, sinceNs, value }: KernelCounter, clock: ExchangeClock): void {
    const seen = this.#seen.get(id) ?? this.#begun(sinceNs, value, clock);
    this.#seen.delete(id);
    this.#seen.set(id, seen);
    if (this.#seen.size > COUNTERS_MAX) this.#seen.delete(this.#seen.keys().next().value as string);
  }

  /** @returns undefined where there is nothing to say, or where nobody has looked */
  point({ id, value }: KernelCounter, name: SeriesName, clock: ExchangeClock): CounterPoint | undefined {
    const seen = this.#seen.get(id);
    if (seen === undefined) return undefined;
    const { startUnixNs, accepted } = seen;
    const common = { ...name, counter: id, startUnixNs, timeUnixNs: notBefore(startUnixNs, clock.timeUnixNs) };
    if (!this.#deltas) return { ...common, value };
    if (value < accepted) this.#seen.set(id, { startUnixNs: common.timeUnixNs, accepted: value });
    return value > accepted ? { ...common, value: value - accepted } : undefined;
  }

  /** The Collector has this point. */
  accept({ counter, timeUnixNs, value }: CounterPoint): void {
    const seen = this.#seen.get(counter);
    if (!this.#deltas || seen === undefined) return;
    seen.accepted += value;
    seen.startUnixNs = timeUnixNs;
  }

  #begun(sinceNs: bigint, value: number, clock: ExchangeClock): Seen {
    if (this.#lastLookNs !== undefined) {
      const startNs = sinceNs < this.#lastLookNs ? this.#lastLookNs : sinceNs;
      return { startUnixNs: clock.startUnixNs(startNs), accepted: 0 };
    }
    return this.#deltas
      ? { startUnixNs: clock.timeUnixNs, accepted: value }
      : { startUnixNs: clock.startUnixNs(sinceNs), accepted: 0 };
  }
}
