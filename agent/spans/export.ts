/**
 * Sends queued records as spans in batches, one request at a time, until each is accepted or given up.
 *
 *   queue ─► batch when it is full or old enough ─► names, spans, bytes ─► retrying transport ─► resolved
 *
 * A record becomes a span when there is room to send it, so that what waits is small. It is known at every moment what
 * became of each (queue.ts). What it must not do: hold the agent's end up for longer than it is given.
 */

import { type Resolution, RetryingTransport } from "../otlp/retrying.ts";
import type { Transport } from "../otlp/transport.ts";
import { release } from "../otlp/wire.ts";
import type { Logger } from "../shared/logger.ts";
import { type Entry, type Naming, SpanQueue, type SpanStats } from "./queue.ts";
import type { Span } from "./span.ts";

export interface SpanExporterOptions {
  readonly transport: Transport;
  readonly encode: (spans: readonly Span[]) => Uint8Array;
  /** Called when names are about to be asked for. @returns who names the entries */
  readonly naming: () => (entry: Entry) => Naming;
  readonly limits: SpanLimits;
  readonly log: Logger;
  /** Some records are no longer pending. */
  readonly onResolved?: (resolved: Resolved) => void;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random?: () => number;
}

/** One request's spans, or at the end the rest, are no longer pending. */
export interface Resolved {
  /** Those that the Collector took; none of a request that it refused, or took in part: which ones it does not say. */
  readonly accepted: readonly Span[];
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
/** How often names that were not there are asked for again. */
const RENAME_MS = 1_000;
/** Which batches are sent: those that are full, or any. */
const FULL_ONES = Number.POSITIVE_INFINITY;
const ALL = 1;
const NOTHING_ACCEPTED: Resolved = { accepted: [] };

/** One request's spans, until they are counted. */
interface Batch {
  readonly spans: readonly Span[];
  resolved: boolean;
}

export class SpanExporter {
  readonly #options: SpanExporterOptions;
  readonly #queue: SpanQueue;
  readonly #transport: RetryingTransport;
  #ending = false;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Taken from the queue and not counted yet. */
  readonly #open = new Set<Batch>();
  #renamedMs = 0;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    this.#queue = new SpanQueue(options.limits.queue);
    this.#transport = new RetryingTransport({ ...options, items: "spans" });
  }

  add(entry: Entry): void {
    if (this.#ending) {
      this.#queue.refuse();
      return;
    }
    this.#queue.add(entry);
    if (this.#queue.ready >= this.#options.limits.batch) this.#run(FULL_ONES);
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
    this.#ending = true;
    this.#transport.end(withinMs);
    clearTimeout(this.#timer);
    this.#queue.retryNames();
    const overdue = Promise.withResolvers<void>();
    const timer = setTimeout(overdue.resolve, withinMs);
    await Promise.race([this.#drain(), overdue.promise]);
    for (const batch of [...this.#open]) this.#resolve(batch, { state: "dropped", reason: "shutdown" });
    this.#queue.dropRest("shutdown");
    this.#options.onResolved?.(NOTHING_ACCEPTED);
    // It waits for what is on its way: only as long as there is time.
    await Promise.race([this.#transport.shutdown(), overdue.promise]);
    clearTimeout(timer);
  }

  async #drain(): Promise<void> {
    await this.#running;
    this.#run(ALL);
    await this.#running;
  }

  /** Sees to it that the queue is looked at within `ms`. */
  #arm(ms: number): void {
    if (this.#ending || this.#running !== undefined) return;
    if (this.#timer !== undefined && ms > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(ALL), ms);
  }

  /** @param least a batch that has fewer waits */
  #run(least: number): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running = this.#sendAll(least).finally(() => {
      this.#running = undefined;
      if (this.#queue.waiting > 0) this.#arm(RENAME_MS);
      else if (this.#queue.ready > 0) this.#arm(this.#options.limits.delayMs);
    });
  }

  async #sendAll(least: number): Promise<void> {
    const { limits, naming } = this.#options;
    const nowMs = performance.now();
    if (nowMs - this.#renamedMs >= RENAME_MS) {
      this.#renamedMs = nowMs;
      this.#queue.retryNames();
    }
    while (!this.#transport.isOver && this.#queue.ready >= Math.min(least, limits.batch)) {
      const spans = this.#queue.take(limits.batch, naming());
      if (spans.length === 0) return;
      await this.#sendOrSplit(this.#batchOf(spans));
    }
  }

  #batchOf(spans: readonly Span[]): Batch {
    const batch = { spans, resolved: false };
    this.#open.add(batch);
    return batch;
  }

  async #sendOrSplit(batch: Batch): Promise<void> {
    const { spans } = batch;
    let bytes: Uint8Array;
    try {
      bytes = this.#options.encode(spans);
    } catch (error) {
      this.#options.log.warn({ error, spans: spans.length }, "spans could not be encoded: they are dropped");
      this.#resolve(batch, { state: "dropped", reason: "rejected" });
      return;
    }
    if (bytes.length <= REQUEST_MAX_BYTES || spans.length === 1) {
      const resolution = await this.#transport.send(bytes);
      release(bytes);
      this.#resolve(batch, resolution);
      return;
    }
    this.#open.delete(batch);
    const half = Math.ceil(spans.length / 2);
    const halves = [this.#batchOf(spans.slice(0, half)), this.#batchOf(spans.slice(half))];
    for (const part of halves) await this.#sendOrSplit(part);
  }

  /** Once for each batch: an answer that comes after the end finds it counted already. */
  #resolve(batch: Batch, resolution: Resolution): void {
    if (batch.resolved) return;
    batch.resolved = true;
    this.#open.delete(batch);
    const { spans } = batch;
    if (resolution.state === "accepted") this.#queue.accept(spans.length, resolution.rejected);
    else this.#queue.drop(spans.length, resolution.reason);
    const isWhole = resolution.state === "accepted" && resolution.rejected === 0;
    this.#options.onResolved?.(isWhole ? { accepted: spans } : NOTHING_ACCEPTED);
  }
}
