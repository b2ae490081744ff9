/**
 * Records that wait to become spans, and what became of every one that came.
 *
 *   observed = accepted + dropped by reason + pending          at any moment, to the span
 *
 * Bounded: what finds no room is dropped and counted, the newest first, so that a Collector that is away
 * costs no memory. Pure but for its own state; times come in as arguments.
 */
import type { Connection } from "../model/connection-record.ts";
import type { Names } from "../model/names.ts";
import { Span } from "./span.ts";

/** Why a span was given up. */
export const DROP_REASONS = {
  /** There was no room left. */
  queue_full: "span_queue_full",
  /** The Collector refused it for good, in part of a request or the whole. */
  rejected: "span_rejected",
  /** The Collector was away for too long. */
  gave_up: "span_gave_up",
  /** Its ends had no names in time. */
  unnamed: "span_unnamed",
  /** The agent ended first. */
  shutdown: "span_shutdown",
} as const;
export type DropReason = keyof typeof DROP_REASONS;

export interface Entry {
  readonly connection: Connection;
  /** From boot time to Unix time, as of its end. */
  readonly offsetNs: bigint;
  /** CLOCK_BOOTTIME. */
  readonly arrivedMs: number;
}

export type Naming = Names | "pending" | "unnamed";

export interface SpanStats {
  readonly observed: number;
  readonly accepted: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Queued, waiting for names or on their way. */
  readonly pending: number;
  /** Of them, waiting for names. */
  readonly unnamed: number;
  readonly limit: number;
}

export class SpanQueue {
  readonly #limit: number;
  #ready: Entry[] = [];
  /** Names were asked for and were not there yet. */
  #waiting: Entry[] = [];
  /** Taken, and not resolved. */
  #taken = 0;
  #observed = 0;
  #accepted = 0;
  readonly #dropped: Record<DropReason, number> = { queue_full: 0, rejected: 0, gave_up: 0, unnamed: 0, shutdown: 0 };

  /** @param limit how many may be pending, in all */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get ready(): number {
    return this.#ready.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get pending(): number {
    return this.#ready.length + this.#waiting.length + this.#taken;
  }

  get dropped(): number {
    return Object.values(this.#dropped).reduce((sum, count) => sum + count, 0);
  }

  add(entry: Entry): void {
    this.#observed++;
    if (this.pending >= this.#limit) this.#dropped.queue_full++;
    else this.#ready.push(entry);
  }

  /** Counts one that came too late to be sent. */
  refuse(): void {
    this.#observed++;
    this.#dropped.shutdown++;
  }

  /** Asks for the names of those that wait for them again, before any other. */
  retryNames(): void {
    this.#ready = [...this.#waiting, ...this.#ready];
    this.#waiting = [];
  }

  /** Takes at most `count` whose ends have names, as spans; the others wait or are given up. Resolve what was taken. */
  take(count: number, name: (entry: Entry) => Naming): Span[] {
    const spans: Span[] = [];
    let looked = 0;
    while (spans.length < count && looked < this.#ready.length) {
      const entry = this.#ready[looked++] as Entry;
      const names = name(entry);
      if (names === "pending") this.#waiting.push(entry);
      else if (names === "unnamed") this.#dropped.unnamed++;
      else spans.push(new Span(entry.connection, names, entry.offsetNs));
    }
    this.#ready = this.#ready.slice(looked);
    this.#taken += spans.length;
    return spans;
  }

  /** The Collector has taken them, all but `rejected`. */
  accept(count: number, rejected: number): void {
    const refused = Math.min(Math.max(0, rejected), count);
    this.#taken -= count;
    this.#accepted += count - refused;
    this.#dropped.rejected += refused;
  }

  /** They are given up. */
  drop(count: number, reason: DropReason): void {
    this.#taken -= count;
    this.#dropped[reason] += count;
  }

  /** Gives up everything that was not taken. */
  dropRest(reason: DropReason): void {
    this.#dropped[reason] += this.#ready.length + this.#waiting.length;
    this.#ready = [];
    this.#waiting = [];
  }

  stats(): SpanStats {
    return {
      observed: this.#observed,
      accepted: this.#accepted,
      dropped: { ...this.#dropped },
      pending: this.pending,
      unnamed: this.#waiting.length,
      limit: this.#limit,
    };
  }
}
