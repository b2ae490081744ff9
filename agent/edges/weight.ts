/** How heavy growth is: bytes, plus a full segment for each connection opened or failed. Budgets go by it. */
import { AT, FAILURES } from "./counters.ts";

/** A connection weighs as much as a full segment of an Ethernet. */
const OPEN_WEIGHT = 1460;

/** @param fresh growth by EDGE_COUNTERS */
export function weightOf(fresh: Float64Array): number {
  let opens = fresh[AT.opened] as number;
  for (const failure of FAILURES) opens += fresh[failure] as number;
  return (fresh[AT.bytesSent] as number) + (fresh[AT.bytesReceived] as number) + OPEN_WEIGHT * opens;
}
