/**
 * A transport whose answers a test gives: by a list, by hand, or always the same.
 */

import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import type { Transport } from "../../../agent/otlp/transport.ts";

export const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };

export function rejecting(rejectedPoints: number): ExportOutcome {
  return { state: "accepted", rejectedPoints, message: "too old" };
}

export function failing(retryable: boolean, retryAfterMs?: number): ExportOutcome {
  return { state: "failed", reason: retryable ? "UNAVAILABLE" : "INVALID_ARGUMENT", retryable, retryAfterMs };
}

/** What a test answers: at once, after a while, or never. */
export type Answer = ExportOutcome | { readonly afterMs: number; readonly outcome: ExportOutcome } | "never";

export class FakeTransport implements Transport {
  readonly target = "collector:4317";
  /** Every request that was tried. */
  readonly sent: Uint8Array[] = [];
  readonly #answers: Answer[];

  /** @param answers one a request; the last one for all that follow */
  constructor(answers: readonly Answer[] = []) {
    this.#answers = [...answers];
  }

  send(bytes: Uint8Array): Promise<ExportOutcome> {
    // A copy: who sends takes the memory back.
    this.sent.push(bytes.slice());
    const answer = (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) ?? ACCEPTED;
    if (answer === "never") return new Promise(() => {});
    if ("state" in answer) return Promise.resolve(answer);
    return new Promise((resolve) => setTimeout(resolve, answer.afterMs, answer.outcome));
  }

  async shutdown(): Promise<void> {}
}
