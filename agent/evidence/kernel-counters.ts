/**
 * Counters that the kernel itself keeps for ever → points: since the start that the kernel counts from, or, as deltas, since what the
 * Collector accepted last.
 *
 * Nothing is settled: the kernel forgets none. As deltas, what was counted before the first look is in none: whoever looked before has sent it.
 */
import type { ExchangeClock } from "../edges/exchange-clock.ts";
import type { NumberPoint } from "../model/point.ts";
import { keyOf, type SeriesName } from "./evidence-series.ts";

interface Accepted {
  readonly value: number;
  readonly atNs: bigint;
}

/** Readings that the Collector has not accepted for so long are of something that is gone. */
const FORGET_NS = 3_600_000_000_000n;

export class KernelCounters {
  readonly #deltas: boolean;
  readonly #accepted = new Map<string, Accepted>();

  /** @param deltas instead of sums since their start */
  constructor(deltas: boolean) {
    this.#deltas = deltas;
  }

  /**
   * @param sinceNs CLOCK_BOOTTIME from which on `value` was counted
   * @returns undefined where there is nothing to say
   */
  point(name: SeriesName, value: number, sinceNs: bigint, clock: ExchangeClock): NumberPoint | undefined {
    const common = { ...name, timeUnixNs: clock.timeUnixNs };
    if (!this.#deltas) return { ...common, startUnixNs: clock.startUnixNs(sinceNs), value };
    const key = keyOf(name);
    const before = this.#accepted.get(key);
    if (before === undefined || before.value > value) {
      this.#accepted.set(key, { value, atNs: clock.bootNs });
      return undefined;
    }
    if (before.value === value) return undefined;
    return { ...common, startUnixNs: clock.startUnixNs(before.atNs), value: value - before.value };
  }

  /** The Collector has this point. */
  accept(point: NumberPoint, clock: ExchangeClock): void {
    if (!this.#deltas) return;
    const key = keyOf(point);
    const before = this.#accepted.get(key);
    if (before === undefined) return;
    this.#accepted.set(key, { value: before.value + point.value, atNs: clock.bootNs });
    for (const [other, { atNs }] of this.#accepted) if (clock.bootNs - atNs > FORGET_NS) this.#accepted.delete(other);
  }
}
