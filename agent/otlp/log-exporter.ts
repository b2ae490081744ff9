/**
 * Sends log records in batches, one request at a time, until each is accepted or given up.
 *
 *   observed = accepted + dropped by reason + pending          at any moment, to the record
 *
 * Bounded: what finds no room is dropped and counted, the newest first. It must not hold the agent's end up for longer than it
 * is given.
 */
import type { LogRecord, LogStats } from "../model/log-record.ts";
import type { Logger } from "../shared/logger.ts";
import { type Resolution, RetryingTransport } from "./retrying.ts";
import type { Transport } from "./transport.ts";

/** Why a log record was given up, and the loss that it is. */
const DROPS = {
  queue_full: "log_queue_full",
  rejected: "log_rejected",
  gave_up: "log_gave_up",
  shutdown: "log_shutdown",
} as const;
type DropReason = keyof typeof DROPS;
export type LogLoss = (typeof DROPS)[DropReason];
export const LOG_LOSSES: readonly LogLoss[] = Object.values(DROPS);

export interface LogLimits {
  /** Records that may be pending. */
  readonly queue: number;
  /** Records in one request. */
  readonly batch: number;
  /** How long a batch that is not full waits. */
  readonly delayMs: number;
}

export interface LogExporterOptions {
  readonly transport: Transport;
  readonly encode: (records: readonly LogRecord[]) => Uint8Array;
  readonly limits: LogLimits;
  readonly log: Logger;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random?: () => number;
}

export class LogExporter {
  readonly #options: LogExporterOptions;
  readonly #transport: RetryingTransport;
  #waiting: LogRecord[] = [];
  /** On their way. */
  #sent = 0;
  #observed = 0;
  #accepted = 0;
  readonly #dropped: Record<LogLoss, number> = { log_queue_full: 0, log_rejected: 0, log_gave_up: 0, log_shutdown: 0 };
  #ending = false;
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** Nothing is connected before the first record. */
  constructor(options: LogExporterOptions) {
    this.#options = options;
    this.#transport = new RetryingTransport({ ...options, items: "log records" });
  }

  add(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.#observed++;
      if (this.#ending) this.#dropped.log_shutdown++;
      else if (this.pending >= this.#options.limits.queue) this.#dropped.log_queue_full++;
      else this.#waiting.push(record);
    }
    this.#arm();
  }

  /** Neither accepted nor dropped yet. */
  get pending(): number {
    return this.#waiting.length + this.#sent;
  }

  stats(): LogStats {
    return {
      observed: this.#observed,
      accepted: this.#accepted,
      dropped: { ...this.#dropped },
      pending: this.pending,
      limit: this.#options.limits.queue,
    };
  }

  /** Sends what is left, for at most `withinMs`; what is not accepted by then is dropped and counted. */
  async shutdown(withinMs: number): Promise<void> {
    this.#ending = true;
    this.#transport.end(withinMs);
    clearTimeout(this.#timer);
    const overdue = Promise.withResolvers<void>();
    const timer = setTimeout(overdue.resolve, withinMs);
    await Promise.race([this.#drain(), overdue.promise]);
    this.#isOver = true;
    this.#dropped.log_shutdown += this.pending;
    this.#waiting = [];
    this.#sent = 0;
    await Promise.race([this.#transport.shutdown(), overdue.promise]);
    clearTimeout(timer);
  }

  async #drain(): Promise<void> {
    await this.#running;
    await this.#sendAll();
  }

  /** Sees to it that what waits is sent. */
  #arm(): void {
    const { batch, delayMs } = this.#options.limits;
    if (this.#ending || this.#running !== undefined || this.#waiting.length === 0) return;
    const isFull = this.#waiting.length >= batch;
    if (this.#timer !== undefined && !isFull) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), isFull ? 0 : delayMs);
  }

  #run(): void {
    this.#timer = undefined;
    this.#running = this.#sendAll().finally(() => {
      this.#running = undefined;
      this.#arm();
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#transport.isOver) {
      const records = this.#waiting.splice(0, this.#options.limits.batch);
      this.#sent = records.length;
      this.#resolve(records.length, await this.#send(records));
    }
  }

  async #send(records: readonly LogRecord[]): Promise<Resolution> {
    let bytes: Uint8Array;
    try {
      bytes = this.#options.encode(records);
    } catch (error) {
      this.#options.log.warn({ error, records: records.length }, "log records could not be encoded: they are dropped");
      return { state: "dropped", reason: "rejected" };
    }
    return await this.#transport.send(bytes);
  }

  /** An answer that comes after the end finds its records counted already. */
  #resolve(count: number, resolution: Resolution): void {
    if (this.#isOver) return;
    this.#sent = 0;
    if (resolution.state === "dropped") {
      this.#dropped[DROPS[resolution.reason]] += count;
      return;
    }
    const rejected = Math.min(Math.max(0, resolution.rejected), count);
    this.#accepted += count - rejected;
    this.#dropped.log_rejected += rejected;
  }
}
