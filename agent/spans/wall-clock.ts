/**
 * From the kernel's CLOCK_BOOTTIME to the wall clock, as it stood at the time of the record.
 *
 * The probe reads both clocks together with each HELLO and at an exchange's begin and end. BOOTTIME goes on
 * during suspend and no clock step moves it, so that the difference of the two is all that changes: a
 * time is mapped with the last difference read at or before it, or the first one read after it.
 */
import type { Exchange } from "../model/probe-event.ts";

export type Moment = Pick<Exchange, "bootNs" | "realtimeNs">;

/** Records come within milliseconds of their end: more than a few readings back nobody asks. */
const READINGS = 16;

export class WallClock {
  /** Ascending by `bootNs`. */
  readonly #readings: { readonly bootNs: bigint; readonly offsetNs: bigint }[] = [];
  #readMs = 0;
  /** Of the last reading. */
  #bootMs: number | undefined;
  readonly #nowMs: () => number;

  /** @param nowMs a clock that only moves forward */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  read({ bootNs, realtimeNs }: Moment): void {
    const last = this.#readings.at(-1);
    // The first of a new probe's readings may lie before the last of the old one's, if that was late.
    if (last !== undefined && bootNs < last.bootNs) return;
    this.#readings.push({ bootNs, offsetNs: realtimeNs - bootNs });
    if (this.#readings.length > READINGS) this.#readings.shift();
    this.#readMs = this.#nowMs();
    this.#bootMs = Number(bootNs) / 1e6;
  }

  /** What to add to a boot time for Unix nanoseconds; undefined before the first reading. */
  offsetNs(atNs: bigint): bigint | undefined {
    for (let i = this.#readings.length - 1; i > 0; i--) {
      const reading = this.#readings[i];
      if (reading !== undefined && reading.bootNs <= atNs) return reading.offsetNs;
    }
    return this.#readings[0]?.offsetNs;
  }

  /** CLOCK_BOOTTIME now, as far as a monotonic clock can tell since the last reading. */
  nowNs(): bigint {
    const last = this.#readings.at(-1);
    if (last === undefined) return 0n;
    return last.bootNs + BigInt(Math.round((this.#nowMs() - this.#readMs) * 1e6));
  }

  /** The same in milliseconds. */
  nowMs(): number {
    return this.#bootMs === undefined ? 0 : this.#bootMs + this.#nowMs() - this.#readMs;
  }
}
