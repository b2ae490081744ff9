/**
 * One session after the other, with pauses that grow while sessions fail, until it is told to stop.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type BackoffOptions, backoffMs } from "./backoff.ts";

export interface ReconnectOptions<Trouble> {
  readonly backoff: BackoffOptions;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random: () => number;
  /** A session that lived this long was a good one: the next pause is the first again. */
  readonly steadyMs: number;
  readonly stop: AbortSignal;
  /** A session has ended, and not because of `stop`. */
  readonly onTrouble: (trouble: Trouble) => void;
}

/** @param session from its beginning to its end; resolves with the reason why it ended */
export async function keepReconnecting<Trouble>(
  session: () => Promise<Trouble>,
  { backoff, random, steadyMs, stop, onTrouble }: ReconnectOptions<Trouble>,
): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const startedMs = performance.now();
    const trouble = await session();
    if (stop.aborted) return;
    failures = performance.now() - startedMs >= steadyMs ? 1 : failures + 1;
    onTrouble(trouble);
    await delay(backoffMs(failures, random(), backoff), undefined, { signal: stop }).catch(ignoreAbort);
  }
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
