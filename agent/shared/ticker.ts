/**
 * The beat of the pipeline: a tick every interval, none of them late.
 *
 * Ticks lie at fixed distances from the first. One that passes while the pipeline is busy is skipped and
 * counted, so that a slow Collector makes exchanges rarer and never two at a time.
 */

export interface IntervalClock {
  /**
   * Waits for the next tick; the first one is at once.
   *
   * @param stop ends the wait early, without an error
   * @returns how many ticks were skipped since the one before
   */
  next(stop: AbortSignal): Promise<number>;
}

export class SystemClock implements IntervalClock {
  #intervalMs: number;
  /** The last tick; undefined before the first. On the monotonic clock. */
  #lastMs: number | undefined;
  #wake: (() => void) | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Changes the interval, for the wait under way too. */
  set(intervalMs: number): void {
    this.#intervalMs = intervalMs;
    this.#wake?.();
  }

  async next(stop: AbortSignal): Promise<number> {
    if (this.#lastMs === undefined) {
      this.#lastMs = performance.now();
      return 0;
    }
    const skipped = Math.max(0, Math.floor((performance.now() - this.#lastMs) / this.#intervalMs));
    const fromMs = this.#lastMs + skipped * this.#intervalMs;
    for (;;) {
      const dueMs = fromMs + this.#intervalMs;
      const leftMs = dueMs - performance.now();
      if (leftMs <= 0 || stop.aborted) {
        this.#lastMs = dueMs;
        return skipped;
      }
      await this.#pause(leftMs, stop);
    }
  }

  /** Ends by time, by set() or by `stop`, whichever comes first. */
  #pause(ms: number, stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        stop.removeEventListener("abort", wake);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      stop.addEventListener("abort", wake, { once: true });
      this.#wake = wake;
    });
  }
}

/** Ticks as fast as it is asked: for replays. */
export const IMMEDIATE_CLOCK: IntervalClock = { next: async () => 0 };
