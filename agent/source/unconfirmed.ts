/**
 * The settled rows that the probe has not confirmed, in the order in which they were settled.
 *
 * Pure bookkeeping: a flush covers all rows settled before it; its answer confirms them. What is left
 * when a connection ends goes to the next probe first. Holds no more than one exchange's rows, because
 * without a probe there is no next exchange.
 */
import type { SettledRow } from "./source.ts";

export class Unconfirmed {
  #rows: SettledRow[] = [];
  /** How many rows have ever been confirmed: the number of the first in #rows. */
  #confirmed = 0;
  /** For each flush under way on this connection, the number of the first row it does not cover. */
  #flushes: number[] = [];

  /** How many rows have ever been settled. */
  get settled(): number {
    return this.#confirmed + this.#rows.length;
  }

  get confirmed(): number {
    return this.#confirmed;
  }

  /** Whether the last flush, under way or answered, covers every row. */
  get flushed(): boolean {
    return (this.#flushes.at(-1) ?? this.#confirmed) === this.settled;
  }

  /** Whether the probe owes the answer to a flush. */
  get flushing(): boolean {
    return this.#flushes.length > 0;
  }

  add(rows: readonly SettledRow[]): void {
    for (const row of rows) this.#rows.push(row);
  }

  /** A flush was sent behind the rows so far. */
  flush(): void {
    this.#flushes.push(this.settled);
  }

  /** The oldest flush under way was answered. False when there is none. */
  confirm(): boolean {
    const covered = this.#flushes.shift();
    if (covered === undefined) return false;
    this.#rows = this.#rows.slice(covered - this.#confirmed);
    this.#confirmed = covered;
    return true;
  }

  /** Another connection: no flush is under way on it, and these rows are to be sent first. */
  restart(): readonly SettledRow[] {
    this.#flushes = [];
    return this.#rows;
  }

  /** The edges that these rows were taken from no longer exist. Returns how many rows that were. */
  drop(): number {
    const dropped = this.#rows.length;
    this.#confirmed += dropped;
    this.#rows = [];
    this.#flushes = [];
    return dropped;
  }
}
