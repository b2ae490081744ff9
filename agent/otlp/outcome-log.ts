/**
 * What became of requests → a line when they begin to fail, for each cause once, a line when they work again, and one when
 * the Collector takes them in part. With the remedy where nobody else has reported it.
 */
import type { ExportOutcome, FailedExport } from "../model/export-outcome.ts";
import type { Logger } from "../shared/logger.ts";
import type { Transport } from "./transport.ts";

export interface OutcomeWords {
  readonly failed: string;
  readonly worksAgain: string;
  readonly inPart: string;
}

export class OutcomeLog {
  readonly #log: Logger;
  readonly #transport: Pick<Transport, "target" | "reportedCauses">;
  readonly #words: OutcomeWords;
  /** Why requests have failed since one was last accepted. */
  readonly #troubles = new Set<string>();
  #failedSinceAccepted = 0;
  #rejection = "";

  constructor(log: Logger, transport: Pick<Transport, "target" | "reportedCauses">, words: OutcomeWords) {
    this.#log = log;
    this.#transport = transport;
    this.#words = words;
  }

  /** @param counted what else to say of a request that was taken in part, for how many of it were not */
  take(outcome: ExportOutcome, counted: (rejected: number) => object): void {
    if (outcome.state === "failed") this.#takeFailed(outcome);
    else this.#takeAccepted(outcome, counted);
  }

  #takeFailed(outcome: FailedExport): void {
    const { target, reportedCauses } = this.#transport;
    this.#failedSinceAccepted++;
    const { reason, cause = reason, message, remedy, retryable, retryAfterMs } = outcome;
    if (this.#troubles.has(cause)) return;
    this.#troubles.add(cause);
    const words = (reportedCauses?.isNews(target, cause) ?? true) ? { message, remedy } : { message };
    this.#log.warn({ target, reason, ...words, retryable, retryAfterMs }, this.#words.failed);
  }

  #takeAccepted(
    { rejectedPoints, message }: Extract<ExportOutcome, { state: "accepted" }>,
    counted: (rejected: number) => object,
  ): void {
    const { target, reportedCauses } = this.#transport;
    reportedCauses?.isWell(target);
    if (this.#troubles.size > 0) {
      this.#log.info({ target, failedRequests: this.#failedSinceAccepted }, this.#words.worksAgain);
      this.#troubles.clear();
      this.#failedSinceAccepted = 0;
    }
    const rejection = rejectedPoints > 0 && message === "" ? "no reason given" : message;
    if (rejection !== this.#rejection && rejection !== "") {
      this.#log.warn({ target, ...counted(rejectedPoints), message: rejection }, this.#words.inPart);
    }
    this.#rejection = rejection;
  }
}
