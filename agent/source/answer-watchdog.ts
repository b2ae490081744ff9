/** Notices that the probe owes an answer and is silent. */
export interface WatchdogOptions {
  readonly timeoutMs: number;
  readonly owesAnswer: () => boolean;
  /** It has owed an answer, and sent nothing, for `timeoutMs` at least. */
  readonly onSilence: () => void;
}

export class AnswerWatchdog {
  readonly #options: WatchdogOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Events that were an answer to something. */
  #heard = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** The probe has sent a part of an answer: a large one may take any time. */
  heard(): void {
    this.#heard++;
  }

  /** The probe owes something from now on, if it did not before. */
  watch(): void {
    if (this.#timer !== undefined) return;
    const heard = this.#heard;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#options.owesAnswer()) return;
      if (this.#heard === heard) this.#options.onSilence();
      else this.watch();
    }, this.#options.timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
