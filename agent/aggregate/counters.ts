/**
 * Places of the counters in every array that EDGE_COUNTERS orders, and pages that hold many such rows.
 */
import { EDGE_COUNTERS, type EdgeCountersField } from "../generated/layout.ts";

export const COUNTERS = EDGE_COUNTERS.length;

/** Index of each counter, by name. */
export const AT = Object.fromEntries(EDGE_COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<EdgeCountersField, number>
>;

export const FAILURES = [
  AT.failedRefused,
  AT.failedTimedOut,
  AT.failedReset,
  AT.failedHostUnreachable,
  AT.failedNetUnreachable,
  AT.failedCancelled,
  AT.failedOther,
] as const;

const ROWS_A_PAGE = 256;

/**
 * Hands out zeroed rows of numbers. One buffer holds 256 of them: a small typed array of its own costs
 * more in headers than in numbers.
 */
export class RowPool {
  readonly #width: number;
  readonly #free: Float64Array[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  take(): Float64Array {
    if (this.#free.length === 0) this.#addPage();
    return this.#free.pop() as Float64Array;
  }

  /** The row must not be used by its former owner any more. */
  give(row: Float64Array): void {
    row.fill(0);
    this.#free.push(row);
  }

  #addPage(): void {
    const page = new Float64Array(this.#width * ROWS_A_PAGE);
    for (let row = ROWS_A_PAGE - 1; row >= 0; row--) {
      this.#free.push(page.subarray(row * this.#width, (row + 1) * this.#width));
    }
  }
}
