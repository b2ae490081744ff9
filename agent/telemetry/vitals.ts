/**
 * When the pipeline did what: kept as it happens, read by health.
 */
import type { MetadataVitals } from "../model/metadata.ts";
import type { ProbeTrouble } from "../model/probe-event.ts";
import type { Vitals } from "./health.ts";

export interface VitalsFacts {
  readonly intervalMs: () => number;
  readonly metadata: () => readonly MetadataVitals[];
  readonly namesTrouble?: () => string | undefined;
  /** Why flows see nothing of what the kernel counts. */
  readonly blindness?: () => string | undefined;
  readonly probeTroubles?: () => readonly ProbeTrouble[];
  readonly probeAwayMs?: () => number | undefined;
  /** A clock that only moves forward, milliseconds. */
  readonly nowMs?: () => number;
}

export class PipelineVitals {
  readonly #facts: VitalsFacts;
  readonly #nowMs: () => number;
  readonly #startedMs: number;
  #lastTurnMs: number;
  #lastExchangeMs: number | undefined;
  #trouble: string | undefined;

  constructor(facts: VitalsFacts) {
    this.#facts = facts;
    this.#nowMs = facts.nowMs ?? (() => performance.now());
    this.#startedMs = this.#nowMs();
    this.#lastTurnMs = this.#startedMs;
  }

  /** A turn begins. */
  turn(): void {
    this.#lastTurnMs = this.#nowMs();
  }

  /** An exchange is complete. */
  exchanged(): void {
    this.#lastExchangeMs = this.#nowMs();
    this.#trouble = undefined;
  }

  /** Since the last whole exchange; before the first, since the start. Milliseconds. */
  exchangeAgeMs(): number {
    return this.#nowMs() - (this.#lastExchangeMs ?? this.#startedMs);
  }

  /** A turn ended early. */
  failed(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message : String(error);
  }

  read(): Vitals {
    return {
      nowMs: this.#nowMs(),
      startedMs: this.#startedMs,
      lastTurnMs: this.#lastTurnMs,
      lastExchangeMs: this.#lastExchangeMs,
      intervalMs: this.#facts.intervalMs(),
      trouble: this.#trouble,
      metadata: this.#facts.metadata(),
      namesTrouble: this.#facts.namesTrouble?.(),
      blindness: this.#facts.blindness?.(),
      probeTroubles: this.#facts.probeTroubles?.() ?? [],
      probeAwayMs: this.#facts.probeAwayMs?.(),
    };
  }
}
