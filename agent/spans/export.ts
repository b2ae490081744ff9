/**
 * Sends queued spans in batches, one request at a time, until each is accepted or given up.
 *
 *   queue ─► batch when it is full or old enough ─► request ─► accepted (in part) ─► counted
 *                                                     ▲  │
 *                                  back-off, RetryInfo └──┴─► refused for good, or too long ─► dropped
 *
 * The stock exporters never try again; this does, and knows at every moment what became of every span
 * (queue.ts). What it must not do: hold the agent's end up for longer than it is given.
 */

import type { ExportOutcome } from "../model/export-outcome.ts";
import { type ExportLog, failureWords } from "../otlp/flow-exporter.ts";
import type { Transport } from "../otlp/transport.ts";
import { BACKOFF, backoffMs } from "../shared/backoff.ts";
import { type DropReason, type Entry, type NamedEntry, type Naming, SpanQueue, type SpanStats } from "./queue.ts";

export interface SpanExporterOptions {
  readonly transport: Transport;
  readonly encode: (entries: readonly NamedEntry[]) => Uint8Array;
  readonly name: (entry: Entry) => Naming;
  readonly limits: SpanLimits;
  readonly log: ExportLog;
  /** Told of what the Collector has accepted whole. */
  readonly onAccepted?: (entries: readonly NamedEntry[]) => void;
  /** A request's spans, or at the end the rest, are no longer pending. */
  readonly onSettled?: () => void;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random?: () => number;
}

export interface SpanLimits {
  /** Spans that may be pending. */
  readonly queue: number;
  /** Spans in one request. */
  readonly batch: number;
  /** How long a batch that is not full waits. */
  readonly delayMs: number;
}

/** What a Collector refuses is 4 MiB; the rest is room for the frame. */
const REQUEST_MAX_BYTES = 3.5 * 1024 * 1024;
/** Between tries while the agent ends. */
const LAST_TRIES_MS = 250;
/** As long as the Collector's own exporters try by default. */
const GIVE_UP_MS = 300_000;
/** A timer of Node takes no more than 2^31 - 1 and would fire at once; who waits for longer looks again. */
const TIMER_MAX_MS = 86_400_000;
/** How often names that were not there are asked for again. */
const RENAME_MS = 1_000;

/** One request's spans, until they are counted. */
interface Batch {
  readonly entries: readonly NamedEntry[];
  settled: boolean;
}

export class SpanExporter {
  readonly #options: SpanExporterOptions;
  readonly #queue: SpanQueue;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Taken from the queue and not counted yet. */
  readonly #open = new Set<Batch>();
  /** When the time that shutdown was given is over, on performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;
  /** Until then the Collector has asked to be left alone (RetryInfo), whichever request that answered. */
  #holdUntilMs = 0;
  #renamedMs = 0;
  /** Why requests have failed since one was last accepted. */
  readonly #troubles = new Set<string>();
  #rejection = "";

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    this.#queue = new SpanQueue(options.limits.queue);
  }

  add(entry: Entry): void {
    if (this.#stop.signal.aborted) {
      this.#queue.refuse();
      return;
    }
    this.#queue.add(entry);
    if (this.#queue.ready >= this.#options.limits.batch) this.#run();
    else this.#arm(this.#options.limits.delayMs);
  }

  /** Names may have come that were waited for. */
  namesChanged(): void {
    if (this.#queue.waiting > 0) this.#arm(0);
  }

  stats(): SpanStats {
    return this.#queue.stats();
  }

  /** Neither accepted nor dropped yet. */
  get pending(): number {
    return this.#queue.pending;
  }

  /** For any reason. */
  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Sends what is left, for at most `withinMs`; what is not accepted by then is dropped and counted. */
  async shutdown(withinMs: number): Promise<void> {
    this.#deadlineMs = performance.now() + withinMs;
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#queue.retryNames();
    const overdue = Promise.withResolvers<void>();
    const timer = setTimeout(overdue.resolve, withinMs);
    await Promise.race([this.#drain(), overdue.promise]);
    for (const batch of [...this.#open]) this.#drop(batch, "shutdown");
    this.#queue.dropRest("shutdown");
    this.#options.onSettled?.();
    // It waits for what is on its way: only as long as there is time.
    await Promise.race([this.#options.transport.shutdown(), overdue.promise]);
    clearTimeout(timer);
  }

  async #drain(): Promise<void> {
    await this.#running;
    this.#run();
    await this.#running;
  }

  /** Sees to it that the queue is looked at within `ms`. */
  #arm(ms: number): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    if (this.#timer !== undefined && ms > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), ms);
  }

  #run(): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running = this.#sendAll().finally(() => {
      this.#running = undefined;
      if (this.#queue.ready > 0) this.#arm(this.#options.limits.delayMs);
      else if (this.#queue.waiting > 0) this.#arm(RENAME_MS);
    });
  }

  async #sendAll(): Promise<void> {
    const { limits, name } = this.#options;
    const nowMs = performance.now();
    if (nowMs - this.#renamedMs >= RENAME_MS) {
      this.#renamedMs = nowMs;
      this.#queue.retryNames();
    }
    while (performance.now() < this.#deadlineMs) {
      const entries = this.#queue.take(limits.batch, name);
      if (entries.length === 0) return;
      await this.#sendOrSplit(this.#batchOf(entries));
    }
  }

  #batchOf(entries: readonly NamedEntry[]): Batch {
    const batch = { entries, settled: false };
    this.#open.add(batch);
    return batch;
  }

  async #sendOrSplit(batch: Batch): Promise<void> {
    const { entries } = batch;
    let bytes: Uint8Array;
    try {
      bytes = this.#options.encode(entries);
    } catch (error) {
      this.#options.log.warn({ error, spans: entries.length }, "spans could not be encoded: they are dropped");
      this.#drop(batch, "rejected");
      return;
    }
    if (bytes.length <= REQUEST_MAX_BYTES || entries.length === 1) {
      await this.#send(batch, bytes);
      return;
    }
    this.#open.delete(batch);
    const half = Math.ceil(entries.length / 2);
    const halves = [this.#batchOf(entries.slice(0, half)), this.#batchOf(entries.slice(half))];
    for (const part of halves) await this.#sendOrSplit(part);
  }

  /** Tries until there is an answer that is final, or no time left. */
  async #send(batch: Batch, bytes: Uint8Array): Promise<void> {
    if (!(await this.#mayAsk())) return this.#drop(batch, "shutdown");
    const giveUpMs = performance.now() + GIVE_UP_MS;
    for (let attempt = 0; !batch.settled; attempt++) {
      const outcome = await this.#options.transport.send(bytes);
      this.#say(outcome);
      if (outcome.state === "accepted") return this.#accept(batch, outcome.rejectedPoints);
      if (!outcome.retryable) return this.#drop(batch, "rejected");
      const nowMs = performance.now();
      const pauseMs = this.#backoff(attempt);
      const { retryAfterMs: askedMs = 0 } = outcome;
      const atMs = nowMs + Math.max(askedMs, pauseMs);
      this.#holdUntilMs = Math.max(this.#holdUntilMs, nowMs + askedMs);
      if (this.#stop.signal.aborted && atMs >= this.#deadlineMs) return this.#drop(batch, "shutdown");
      if (atMs > giveUpMs) return this.#drop(batch, "gave_up");
      // The agent's end cuts a back-off short; what the Collector asked for is its right, also beyond it.
      await pause(pauseMs, this.#stop.signal);
      if (!(await this.#mayAsk())) return this.#drop(batch, "shutdown");
    }
  }

  /** Leaves the Collector alone for as long as it asked. @returns false where the agent's end comes first */
  async #mayAsk(): Promise<boolean> {
    while (this.#holdUntilMs < this.#deadlineMs) {
      const leftMs = this.#holdUntilMs - performance.now();
      if (leftMs <= 0) return true;
      await pause(Math.min(leftMs, TIMER_MAX_MS), this.#stop.signal);
    }
    return false;
  }

  #backoff(attempt: number): number {
    // Ending: a few more tries in the time there is.
    if (this.#stop.signal.aborted) return LAST_TRIES_MS;
    return backoffMs(attempt + 1, (this.#options.random ?? Math.random)(), BACKOFF);
  }

  #accept(batch: Batch, rejected: number): void {
    if (!this.#settle(batch)) return;
    this.#queue.accept(batch.entries.length, rejected);
    this.#options.onSettled?.();
    if (rejected === 0) this.#options.onAccepted?.(batch.entries);
  }

  #drop(batch: Batch, reason: DropReason): void {
    if (!this.#settle(batch)) return;
    this.#queue.drop(batch.entries.length, reason);
    this.#options.onSettled?.();
  }

  /** @returns false for a batch that was counted already: its answer came after the end */
  #settle(batch: Batch): boolean {
    if (batch.settled) return false;
    batch.settled = true;
    this.#open.delete(batch);
    return true;
  }

  /** A line when it begins to fail and when it works again. */
  #say(outcome: ExportOutcome): void {
    const { log, transport } = this.#options;
    const { target } = transport;
    if (outcome.state === "failed") {
      const { reason, cause = reason, retryable, retryAfterMs } = outcome;
      if (this.#troubles.has(cause)) return;
      this.#troubles.add(cause);
      const words = failureWords(outcome, transport);
      log.warn({ target, reason, ...words, retryable, retryAfterMs }, "spans are not accepted");
      return;
    }
    transport.told?.isWell(target);
    if (this.#troubles.size > 0) log.info({ target }, "spans are accepted again");
    this.#troubles.clear();
    const { rejectedPoints, message } = outcome;
    const rejection = rejectedPoints > 0 && message === "" ? "no reason given" : message;
    if (rejection !== this.#rejection && rejection !== "") {
      log.warn({ target, rejectedSpans: rejectedPoints, message: rejection }, "the Collector accepted spans in part");
    }
    this.#rejection = rejection;
  }
}

/** Waits, or until `signal`. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      // Already ending: the pause is short by itself.
      setTimeout(resolve, ms);
      return;
    }
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}
