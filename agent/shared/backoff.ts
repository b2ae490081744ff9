/**
 * How long to wait after the nth failure in a row: doubled each time up to a limit, with jitter, so that a
 * thousand agents do not come back to a restarted API server in one moment.
 */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

export const BACKOFF: BackoffOptions = { firstMs: 500, maxMs: 30_000 };

/**
 * @param failures in a row, at least 1
 * @param random in [0, 1)
 * @returns between half and all of the full wait
 */
export function backoffMs(failures: number, random: number, { firstMs, maxMs }: BackoffOptions): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return full * (0.5 + random / 2);
}
