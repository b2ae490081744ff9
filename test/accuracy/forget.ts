/** Long runs keep no more points than those that wait for exchanges need. */
import type { ObservedLab } from "../lab/agents/observed.ts";

const KEPT_POINTS = 5_000;

/** Not while somebody waits: counts of requests begin anew. */
export function forgetPoints({ receiver }: ObservedLab): void {
  receiver.requests.length = 0;
  receiver.points.splice(0, Math.max(0, receiver.points.length - KEPT_POINTS));
}
