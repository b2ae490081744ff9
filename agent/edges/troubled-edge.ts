/**
 * Whether what is new in an edge's row speaks of trouble, and a copy of it then: findings are judged by it. A healthy
 * edge costs a look at its counters and no memory.
 */
import { AT, COUNTERS, FAILURES } from "./counters.ts";

/** Each of these may be evidence of a finding. Spurious resends alone are none. */
const TROUBLE = [
  ...FAILURES,
  ...[AT.retransmitsSyn, AT.retransmitsFast, AT.retransmitsTimeout, AT.retransmitsTlp],
  ...[AT.retransmitsNonCongestion, AT.retransmitsOther, AT.rwndLimitedUs, AT.sndbufLimitedUs, AT.listenerDrops],
] as const;

/**
 * @param fresh what is new, by EDGE_COUNTERS
 * @param before trouble that nobody has judged yet, since the edge has no names: it is added
 */
export function troubleOf(fresh: Float64Array, before: Float64Array | undefined): Float64Array | undefined {
  if (before === undefined) return TROUBLE.some((index) => (fresh[index] as number) > 0) ? fresh.slice() : undefined;
  const sum = before.slice();
  for (let index = 0; index < COUNTERS; index++) sum[index] = (sum[index] as number) + (fresh[index] as number);
  return sum;
}
