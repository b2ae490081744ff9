/**
 * A signal: one kind of telemetry that the agent makes of what the probe says. Metrics and spans are two; what comes next
 * is one more file beside them, and a line in assemble.ts.
 */

import type { ClusterIdentity } from "../naming/identify.ts";
import type { ProbeClient } from "../source/probe-client.ts";
import type { ProbeSource } from "../source/source.ts";
import type { SpanIdentity } from "../spans/span-names.ts";
import type { AgentLoss } from "../telemetry/losses.ts";

/** Facts of one reason that a part has lost since it was made: it only grows. */
export type LossReading = readonly [reason: AgentLoss, count: () => number];

/** What signals are made of. */
export interface SignalInputs {
  readonly source: Pick<ProbeSource, "exchange" | "settle" | "flush"> & Pick<ProbeClient, "reportRecords">;
  readonly identity: Pick<ClusterIdentity, "addCgroup"> & SpanIdentity;
}

export interface Signal {
  /** Resolves when there is nothing left to do before the end; never rejects. */
  start(inputs: SignalInputs): Promise<void>;
  /** For the status. */
  stats(): object;
  readonly losses: readonly LossReading[];
  /** Sends what is left, within its time, and closes what it holds. */
  stop(): Promise<void>;
}
