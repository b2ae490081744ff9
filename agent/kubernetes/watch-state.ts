/**
 * What a watch did and how it is doing: kept as it happens, read by self metrics, health and status.
 *
 * Ages are counted on a clock that only moves forward. A watch is `current` while it is connected and its
 * last list is whole; its age is the time since the server last confirmed that, a bookmark at the least.
 */
import type { ApiFailure, FailureReason } from "./failure.ts";

/** How a watch is doing; read by self metrics and health. */
export interface WatchState {
  readonly name: string;
  /** It has read a whole list since the start. */
  readonly synced: boolean;
  /** It is connected and its last list is whole. */
  readonly current: boolean;
  readonly objects: number;
  /** Unix milliseconds of the last word from the server, bookmarks included; 0 before the first. */
  readonly lastEventMs: number;
  /** Since the server last confirmed what is known; since the start, when it never did. */
  readonly ageMs: number;
  /** Since it last heard anything or tried anything: bounded as long as it works. */
  readonly idleMs: number;
  /** Requests, of watches and of pages. */
  readonly connects: number;
  readonly lists: number;
  /** Watches that the server ended when their time was over, as it does every few minutes. */
  readonly ends: number;
  /** Whether the last list came as a watch-list. */
  readonly watchList: boolean;
  /** How often a connection, or the attempt to have one, failed. */
  readonly failures: Readonly<Partial<Record<FailureReason, number>>>;
  /** Events and objects that made no sense or were too large; the watch goes on without them. */
  readonly unreadable: number;
  /** Why it is not current, and what to do; undefined while it is, and before the first failure. */
  readonly trouble: string | undefined;
}

export class WatchRecord {
  readonly #name: string;
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  #synced = false;
  #lastEventMs = 0;
  #confirmedMs = performance.now();
  #movedMs = performance.now();
  #currentSinceMs: number | undefined;
  #trouble: string | undefined;
  #connects = 0;
  #lists = 0;
  #ends = 0;
  #unreadable = 0;
  #watchList = false;

  constructor(name: string) {
    this.#name = name;
  }

  read(objects: number): WatchState {
    const nowMs = performance.now();
    return {
      name: this.#name,
      synced: this.#synced,
      current: this.#currentSinceMs !== undefined,
      objects,
      lastEventMs: this.#lastEventMs,
      ageMs: Math.round(nowMs - this.#confirmedMs),
      idleMs: Math.round(nowMs - this.#movedMs),
      connects: this.#connects,
      lists: this.#lists,
      ends: this.#ends,
      watchList: this.#watchList,
      failures: { ...this.#failures },
      unreadable: this.#unreadable,
      trouble: this.#trouble,
    };
  }

  /** How long it has been current; 0 while it is not. */
  get currentForMs(): number {
    return this.#currentSinceMs === undefined ? 0 : performance.now() - this.#currentSinceMs;
  }

  connects(): void {
    this.#connects++;
    this.#movedMs = performance.now();
  }

  lists(asWatchList: boolean): void {
    this.#lists++;
    this.#watchList = asWatchList;
    this.#currentSinceMs = undefined;
  }

  /** The server sent something, which confirms what is known, unless a list is being read. */
  heard(): void {
    this.#lastEventMs = Date.now();
    this.#movedMs = performance.now();
    if (this.#currentSinceMs !== undefined) this.#confirmedMs = this.#movedMs;
  }

  /** A list was whole. */
  listed(): void {
    this.#synced = true;
    this.#confirmedMs = performance.now();
  }

  /** What is known is whole and its changes will come. */
  becomesCurrent(): void {
    this.#trouble = undefined;
    this.#currentSinceMs ??= performance.now();
    this.heard();
  }

  /** The connection is over. */
  lost(): void {
    this.#currentSinceMs = undefined;
  }

  ended(): void {
    this.#ends++;
  }

  failed({ reason, words }: ApiFailure): void {
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    this.#trouble = `${reason}: ${words}`;
  }

  passedOver(count: number): void {
    this.#unreadable += count;
  }
}
