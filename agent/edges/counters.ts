/**
 * Places of the counters in every array that EDGE_COUNTERS orders, and pages that hold many such rows.
 */
import { EDGE_COUNTERS, type EdgeCountersField } from "../generated/layout.ts";

export const COUNTERS = EDGE_COUNTERS.length;

/** Index of each counter, by name. */
export const AT = Object.fromEntries(EDGE_COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<EdgeCountersField, number>
>;

/** Attempts of which a SYN was sent, and which the kernel counts in TcpActiveOpens. */
export const SENT_FAILURES = [
  AT.failedRefused,
  AT.failedTimedOut,
  AT.failedReset,
  AT.failedHostUnreachable,
  AT.failedNetUnreachable,
  AT.failedCancelled,
  AT.failedOther,
] as const;

export const FAILURES = [...SENT_FAILURES, AT.failedNoLocalPort, AT.failedNotSent] as const;

const RECORDS_A_PAGE = 256;

/** Where a record's numbers are: `page[at + i]`. */
export interface NumbersAt {
  readonly page: Float64Array;
  readonly at: number;
}

/**
 * Hands out room for records of some numbers each, zeroed. A page holds 256 of them, and owners keep page
 * and place: a typed array for each would cost as much in headers as its numbers do.
 */
export class NumberPages {
  readonly #width: number;
  readonly #free: NumbersAt[] = [];
  #page = new Float64Array(0);
  /** Used of the page. */
  #used = 0;

  constructor(width: number) {
    this.#width = width;
  }

  take(): NumbersAt {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#used === this.#page.length) {
      this.#page = new Float64Array(this.#width * RECORDS_A_PAGE);
      this.#used = 0;
    }
    this.#used += this.#width;
    return { page: this.#page, at: this.#used - this.#width };
  }

  /** The room must not be used by its former owner any more. */
  give({ page, at }: NumbersAt): void {
    page.fill(0, at, at + this.#width);
    this.#free.push({ page, at });
  }
}
