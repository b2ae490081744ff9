/** A wait that somebody may end early. */
import { setTimeout as delay } from "node:timers/promises";

/** Waits for `ms`, or until `stop` is aborted; neither is an error. */
export async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: stop }).catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
  });
}
