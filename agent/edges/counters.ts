/** Places of the counters in every array that EDGE_COUNTERS orders. */
import { EDGE_COUNTERS, type EdgeCountersField } from "../generated/layout.ts";

export const COUNTERS = EDGE_COUNTERS.length;

/** Index of each counter, by name. */
export const AT = Object.fromEntries(EDGE_COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<EdgeCountersField, number>
>;

/** Attempts of which a SYN was sent, and which the kernel counts in TcpActiveOpens. */
export const SENT_FAILURES = [
  AT.failedRefused,
  AT.failedTimedOut,
  AT.failedReset,
  AT.failedHostUnreachable,
  AT.failedNetUnreachable,
  AT.failedCancelled,
  AT.failedOther,
] as const;

export const FAILURES = [...SENT_FAILURES, AT.failedNoLocalPort, AT.failedNotSent] as const;
