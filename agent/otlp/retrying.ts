/**
 * A transport that tries again until the answer is final, or the time is over.
 *
 *      send ──► transport ──► accepted, refused for good ──────────────────────► the end
 *                 ▲  │
 *                 └──┴─ may be tried again: after back-off, or when RetryInfo asks ─► given up, or stopped
 *
 * The stock exporters never try again. It says what begins to fail and what works again, once each.
 */

import { BACKOFF, backoffMs } from "../shared/backoff.ts";
import type { Logger } from "../shared/logger.ts";
import { OutcomeLog } from "./outcome-log.ts";
import type { Transport } from "./transport.ts";

export interface RetryingOptions {
  readonly transport: Transport;
  readonly log: Logger;
  /** What is sent, in the plural, for people: "spans". */
  readonly items: string;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random?: () => number;
}

/** What became of one request. */
export type Resolution =
  | { readonly state: "accepted"; readonly rejected: number }
  | { readonly state: "dropped"; readonly reason: "rejected" | "gave_up" | "shutdown" };

/** Between tries while the agent ends. */
const LAST_TRIES_MS = 250;
/** As long as the Collector's own exporters try by default. */
const GIVE_UP_MS = 300_000;
/** A timer of Node takes no more than 2^31 - 1 and would fire at once; who waits for longer looks again. */
const TIMER_MAX_MS = 86_400_000;
const STOPPED: Resolution = { state: "dropped", reason: "shutdown" };

export class RetryingTransport {
  readonly #options: RetryingOptions;
  readonly #stop = new AbortController();
  /** When the time is over that the end was given, on performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;
  /** Until then the Collector has asked to be left alone (RetryInfo), whichever request that answered. */
  #holdUntilMs = 0;
  readonly #outcomes: OutcomeLog;

  constructor(options: RetryingOptions) {
    const { log, transport, items } = options;
    this.#options = options;
    this.#outcomes = new OutcomeLog(log, transport, {
      failed: `${items} are not accepted`,
      worksAgain: `${items} are accepted again`,
      inPart: `the Collector accepted ${items} in part`,
    });
  }

  /** From now on there are `withinMs` left: pauses are short, and what is not accepted by then is dropped. */
  end(withinMs: number): void {
    this.#deadlineMs = performance.now() + withinMs;
    this.#stop.abort();
  }

  get isOver(): boolean {
    return performance.now() >= this.#deadlineMs;
  }

  /** Tries until there is an answer that is final, or no time left. One request at a time. Never rejects. */
  async send(bytes: Uint8Array): Promise<Resolution> {
    if (!(await this.#mayAsk())) return STOPPED;
    const giveUpMs = performance.now() + GIVE_UP_MS;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#options.transport.send(bytes);
      this.#outcomes.take(outcome, (rejectedSpans) => ({ rejectedSpans }));
      if (outcome.state === "accepted") return { state: "accepted", rejected: outcome.rejectedPoints };
      if (!outcome.retryable) return { state: "dropped", reason: "rejected" };
      const nowMs = performance.now();
      const pauseMs = this.#backoff(attempt);
      const { retryAfterMs: askedMs = 0 } = outcome;
      const atMs = nowMs + Math.max(askedMs, pauseMs);
      this.#holdUntilMs = Math.max(this.#holdUntilMs, nowMs + askedMs);
      if (this.#stop.signal.aborted && atMs >= this.#deadlineMs) return STOPPED;
      if (atMs > giveUpMs) return { state: "dropped", reason: "gave_up" };
      // The agent's end cuts a back-off short; what the Collector asked for is its right, also beyond it.
      await pause(pauseMs, this.#stop.signal);
      if (!(await this.#mayAsk())) return STOPPED;
    }
  }

  /** Waits for what is on its way, at most the transport's timeout. */
  shutdown(): Promise<void> {
    return this.#options.transport.shutdown();
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
}

/** Waits, or until `signal`. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      // Already ending: the pause is short by itself.
      setTimeout(resolve, ms);
      return;
    }
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
