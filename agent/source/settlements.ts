/**
 * What the Collector has accepted, on its way to the probe: rows, the flushes behind them, and the probe's answers.
 *
 *   add ─► rows ─► flush ─► SETTLED ─► confirmed
 *                    └─ the connection ends ─► the same rows to the next probe, before anything else
 *
 * Rows of maps that are gone are dropped and counted: settling them in new maps would subtract what was never added.
 */
import type { Hello } from "../model/probe-event.ts";
import { Calls } from "./calls.ts";
import { FLUSH_COMMAND, settleCommands } from "./commands.ts";
import type { Frame } from "./frames.ts";
import type { Settled, SettledRow } from "./source.ts";
import { Unconfirmed } from "./unconfirmed.ts";

/** The connection to the probe, as far as rows need it. */
export interface SettlementLine {
  /** Whether commands reach the probe now. */
  readonly isReady: () => boolean;
  readonly send: (frames: Iterable<Frame>) => void;
  /** The probe owes an answer from now on. */
  readonly asked: () => void;
  readonly count: (failure: string, by: number) => void;
}

const NOTHING_SETTLED: Settled = { rows: 0, unknown: 0, refused: 0 };

export class Settlements {
  readonly #line: SettlementLine;
  /** Marked with the number of rows that must be confirmed. */
  readonly #flushes = new Calls<Settled>();
  readonly #unconfirmed = new Unconfirmed();
  /** By the flushes that were confirmed since nothing was unconfirmed. */
  #settled: Settled = NOTHING_SETTLED;
  /** When the maps that the unconfirmed rows belong to were made. */
  #mapsStartedNs: bigint | undefined;
  #resent = 0;

  constructor(line: SettlementLine) {
    this.#line = line;
  }

  /** Whether the probe owes the answer to a flush. */
  get owesAnswer(): boolean {
    return this.#unconfirmed.flushing;
  }

  /** Rows that went to one more probe. */
  get resent(): number {
    return this.#resent;
  }

  add(rows: readonly SettledRow[]): void {
    this.#unconfirmed.add(rows);
    this.#line.send(settleCommands(rows));
    this.flush();
  }

  /** Sends a flush behind rows that none covers yet. */
  flush(): void {
    if (this.#line.isReady() && !this.#unconfirmed.flushed) this.#sendFlush();
  }

  /** Resolves when all rows so far are confirmed. @param why the error when that takes too long */
  async confirmed(timeoutMs: number, why: () => Error): Promise<Settled> {
    const { settled, confirmed } = this.#unconfirmed;
    if (settled === confirmed) return NOTHING_SETTLED;
    this.flush();
    return this.#flushes.wait(timeoutMs, why, settled);
  }

  /** A new connection: what is not confirmed goes to its probe. */
  begin({ startedNs }: Hello): void {
    if (this.#mapsStartedNs !== undefined && this.#mapsStartedNs !== startedNs) this.#drop();
    this.#mapsStartedNs = startedNs;
    const rows = this.#unconfirmed.restart();
    if (rows.length === 0) return;
    this.#resent += rows.length;
    this.#line.send(settleCommands(rows));
    this.#sendFlush();
  }

  /** The probe's answer to the oldest flush. */
  take({ rows, unknown, refused }: Settled): void {
    if (!this.#unconfirmed.confirm()) {
      this.#line.count("settled_unasked", 1);
      return;
    }
    const { settled, confirmed } = this.#unconfirmed;
    this.#settled = {
      rows: this.#settled.rows + rows,
      unknown: this.#settled.unknown + unknown,
      refused: this.#settled.refused + refused,
    };
    this.#flushes.resolve(this.#settled, confirmed);
    if (settled === confirmed) this.#settled = NOTHING_SETTLED;
  }

  /** Whoever waits for a confirmation waits no more. */
  end(error: Error): void {
    this.#flushes.reject(error);
  }

  #drop(): void {
    const dropped = this.#unconfirmed.drop();
    if (dropped > 0) this.#line.count("settle_void", dropped);
    this.#flushes.resolve({ rows: 0, unknown: dropped, refused: 0 });
  }

  #sendFlush(): void {
    this.#unconfirmed.flush();
    this.#line.send([FLUSH_COMMAND]);
    this.#line.asked();
  }
}
