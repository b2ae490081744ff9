/**
 * One session after the other, with pauses that grow while sessions fail, until it is stopped.
 */
import { type BackoffOptions, backoffMs } from "./backoff.ts";
import { pause } from "./pause.ts";

export interface ReconnectOptions<Trouble> {
  readonly backoff: BackoffOptions;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random: () => number;
  /** A session that lived this long was a good one: the next pause is the first again. */
  readonly steadyMs: number;
  readonly stop: AbortSignal;
  /** A session has ended, and not because of `stop`. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** A clock that only moves forward. */
  readonly nowMs?: () => number;
  /** Waits, or until it is stopped. */
  readonly pause?: typeof pause;
}

/** @param session from its beginning to its end; resolves with the reason why it ended */
export async function keepReconnecting<Trouble>(
  session: () => Promise<Trouble>,
  options: ReconnectOptions<Trouble>,
): Promise<void> {
  const { backoff, random, steadyMs, stop, onTrouble } = options;
  const { nowMs = () => performance.now(), pause: wait = pause } = options;
  let failures = 0;
  while (!stop.aborted) {
    const startedMs = nowMs();
    const trouble = await session();
    if (stop.aborted) return;
    failures = nowMs() - startedMs >= steadyMs ? 1 : failures + 1;
    onTrouble(trouble);
    await wait(backoffMs(failures, random(), backoff), stop);
  }
}
