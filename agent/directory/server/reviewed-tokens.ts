/**
 * Tokens of service accounts → whether they are let in, and from which node they come.
 *
 * The API server decides, and its answer counts for a while: an agent that comes again costs no request, a pod that was
 * deleted is let in no longer than that. Only digests of tokens are kept. Time and the asking are arguments.
 */
import { createHash } from "node:crypto";
import { status } from "@grpc/grpc-js";
import type { Review, ReviewedPod } from "../../kubernetes/token-review.ts";
import type { Logger } from "../../shared/logger.ts";
import { type Refusal, refused, unauthenticated } from "./refusal.ts";

export interface ReviewOptions {
  readonly audience: string;
  /** Service accounts that are let in, `NAMESPACE/NAME`: any pod may ask for a token for any audience. */
  readonly accounts: readonly string[];
  /** Asks the API server; rejects where it cannot be asked. */
  readonly review: (token: string, audience: string) => Promise<Review>;
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly limits?: Partial<ReviewLimits>;
}

export interface ReviewLimits {
  /** How long an accepted token counts without being asked about again, milliseconds. */
  readonly acceptedMs: number;
  /** The same of a refused one. */
  readonly refusedMs: number;
  /** How many answers of either kind are kept; the oldest leaves. */
  readonly kept: number;
  /** How many tokens may be asked about at once. */
  readonly asking: number;
}

export const REVIEW_LIMITS: ReviewLimits = { acceptedMs: 300_000, refusedMs: 10_000, kept: 10_000, asking: 64 };

export type Verdict = { readonly pod: ReviewedPod } | { readonly refusal: Refusal };

interface Kept {
  readonly verdict: Verdict;
  readonly untilMs: number;
}

export class ReviewedTokens {
  readonly #options: ReviewOptions;
  readonly #limits: ReviewLimits;
  /** By the token's digest, the oldest first. Apart, so that wrong tokens push out no right ones. */
  readonly #accepted = new Map<string, Kept>();
  readonly #refused = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<Verdict>>();
  #trouble: string | undefined;

  constructor(options: ReviewOptions) {
    this.#options = options;
    this.#limits = { ...REVIEW_LIMITS, ...options.limits };
  }

  /** Whether the token is let in; asks where nothing is known, once for all who show it meanwhile. Never rejects. */
  judge(token: string): Promise<Verdict> {
    const digest = createHash("sha256").update(token).digest("base64");
    const kept = this.#accepted.get(digest) ?? this.#refused.get(digest);
    if (kept && kept.untilMs > this.#options.nowMs()) return Promise.resolve(kept.verdict);
    const asking = this.#asking.get(digest);
    if (asking) return asking;
    if (this.#asking.size >= this.#limits.asking) {
      return Promise.resolve(refused(status.UNAVAILABLE, "too many tokens wait for the API server: come again"));
    }
    const asked = this.#ask(token, digest).finally(() => this.#asking.delete(digest));
    this.#asking.set(digest, asked);
    return asked;
  }

  async #ask(token: string, digest: string): Promise<Verdict> {
    const { review, audience, log } = this.#options;
    let found: Review;
    try {
      found = await review(token, audience);
    } catch (error) {
      const { message } = error as Error;
      if (this.#trouble !== message)
        log.warn({ detail: message }, "tokens cannot be reviewed: those accepted lately are let in, no others");
      this.#trouble = message;
      return refused(status.UNAVAILABLE, "the API server cannot be asked about this token: come again");
    }
    if (this.#trouble !== undefined) log.info({}, "tokens are reviewed again");
    this.#trouble = undefined;
    return this.#keep(digest, this.#verdictOf(found));
  }

  #verdictOf(found: Review): Verdict {
    const { audience, accounts } = this.#options;
    if ("refused" in found) {
      const details = `the API server does not accept the token for the audience ${audience}: ${found.refused}`;
      return unauthenticated(details);
    }
    if (accounts.includes(found.account)) return { pod: found };
    return refused(status.PERMISSION_DENIED, `${found.account} is none of directory.service_accounts`);
  }

  #keep(digest: string, verdict: Verdict): Verdict {
    const { acceptedMs, refusedMs, kept } = this.#limits;
    const isAccepted = "pod" in verdict;
    for (const table of [this.#accepted, this.#refused]) table.delete(digest);
    const table = isAccepted ? this.#accepted : this.#refused;
    table.set(digest, { verdict, untilMs: this.#options.nowMs() + (isAccepted ? acceptedMs : refusedMs) });
    const [oldest] = table.keys();
    if (table.size > kept && oldest !== undefined) table.delete(oldest);
    return verdict;
  }
}
