/** Parts of an edge's snapshot in which nothing happened. */
import type { FailedSnapshot } from "../../../agent/edges/snapshot.ts";

export const NONE_FAILED: FailedSnapshot = {
  refused: 0,
  timed_out: 0,
  reset: 0,
  host_unreachable: 0,
  net_unreachable: 0,
  cancelled: 0,
  no_local_port: 0,
  not_sent: 0,
  _OTHER: 0,
};
