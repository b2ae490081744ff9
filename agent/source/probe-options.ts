/** How a client of the probe is made. */
import type { Logger } from "../shared/logger.ts";
import type { Tap } from "./probe-connection.ts";
import type { SourceListeners } from "./source.ts";

export interface ProbeOptions {
  /** The probe's Unix socket. */
  readonly path: string;
  readonly log: Logger;
  readonly listeners?: SourceListeners;
  /**
   * Of the records that `listeners.connection` was given: how many are neither accepted nor counted as lost yet.
   * Left out: none, a record is done with when the listener was called.
   */
  readonly pendingRecords?: () => number;
  /** Edges of an exchange, whatever HELLO has room for: what the agent's memory is for. Left out: what a probe can have. */
  readonly edgesMax?: number;
  /** Sees all bytes of all connections. */
  readonly tap?: Tap;
  /** How long a probe that owes an answer may be silent, and how long a call waits for a connection. */
  readonly answerTimeoutMs?: number;
  /** The first pause between two attempts to connect; it doubles up to `backoffMaxMs`. */
  readonly backoffMs?: number;
  readonly backoffMaxMs?: number;
  /** In [0, 1): spreads the pauses of many agents. */
  readonly random?: () => number;
}
