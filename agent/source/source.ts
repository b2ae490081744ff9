/**
 * Where exchanges come from: the probe's socket (probe-client.ts) or a recording (replay.ts).
 *
 * The pipeline knows only this interface. A source hands out whole exchanges, takes back the rows that
 * the Collector accepted, and promises that a settled row reaches the probe even when the probe dies in
 * between. It interprets nothing: names, sums and requests are made further down the pipeline.
 */

import type { Connection } from "../model/connection-record.ts";
import type { EdgeGrowth } from "../model/edge.ts";
import type { ExchangeEvidence } from "../model/kernel-evidence.ts";
import type {
  Cgroup,
  Exchange,
  Hello,
  NamespaceCounters,
  ProbeStatus,
  ProbeTrouble,
  ProgramStats,
} from "../model/probe-event.ts";

/** All frames of one exchange, in the order in which they came. */
export interface ExchangeData {
  readonly begin: Exchange;
  /** The cgroups that are new since the last exchange that was handed out; add them before naming `rows`. */
  readonly cgroups: readonly Cgroup[];
  readonly rows: readonly EdgeGrowth[];
  readonly namespaces: readonly NamespaceCounters[];
  readonly programs: readonly ProgramStats[];
  readonly evidence: ExchangeEvidence;
  readonly status: ProbeStatus;
  readonly end: Exchange;
  /**
   * Gives the rows' memory back before the next garbage collection: for an owner who knows that nobody
   * reads them any more, because all have been settled and a flush has confirmed it.
   */
  free(): void;
}

/** What of a row a settle sends back; a row of evidence has a command of its own. */
export interface SettledRow {
  readonly row: Uint8Array;
  readonly isEvidence?: boolean;
}

/** The probe's answer to a flush. */
export interface Settled {
  readonly rows: number;
  /** Rows that named no edge, or a number already settled: repeats after a reconnect, harmless. */
  readonly unknown: number;
  /** Rows with more than their edge has: the kernel keeps its growth, and counts them as `settle_refused`. */
  readonly refused: number;
}

/** Which ended connections the probe sends, and what of them. Any of the three strategies keeps one; with none on, all are kept. */
export interface RecordSettings {
  /** An interim record after each period this long of a connection that stays open; 0: none. */
  readonly activeTimeoutNs: bigint;
  /** SipHash key of the trace ids, as its two little-endian words. */
  readonly traceKey: readonly [bigint, bigint];
  /** Random: keep trace ids whose low 56 bits are not below it; SAMPLE_NEVER: off. */
  readonly threshold: bigint;
  /** Keep each CPU's every Nth; 0: off. */
  readonly every: number;
  /** Keep every failure and reset, and what passes one of the limits; undefined: off. */
  readonly adaptive: { readonly rttUs: number; readonly retransmits: number } | undefined;
  /** Token bucket of each CPU; perSecond 0: no limit. */
  readonly rate: { readonly perSecond: number; readonly burst: number };
}

export interface ProbeSettings {
  /** An edge with no growth and nothing open for this long is evicted. */
  readonly idleNs: bigint;
  /** In percent of what is free of the edge table: so much a tenant may hold. Left out: 100. */
  readonly edgesShare?: number;
  /** Whether the probe sends each ended connection to `SourceListeners.connection`. */
  readonly records: boolean;
  /**
   * Whether somebody waits for them: each comes within a millisecond. Left out: they gather, for a second or until they
   * are 64 KiB, since waking two processes costs more than a record does.
   */
  readonly recordsAtOnce?: boolean;
  /** Left out: every connection, no interim records, no limit. */
  readonly recording?: RecordSettings;
}

/** A prefix of remote addresses; the longest match wins, no match keeps the address. */
export interface PrefixRule {
  /** Address text, IPv4 or IPv6. */
  readonly address: string;
  /** As it is written behind the address: at most 32 for IPv4, 128 for IPv6. */
  readonly prefixLength: number;
  /** Server-role edges from this prefix share one edge. */
  readonly collapse: boolean;
}

/** What a source has read and what went wrong, since it was made. */
export interface SourceStats {
  readonly connects: number;
  readonly bytes: number;
  readonly frames: number;
  /** Rows sent again to a new probe because the old one had not confirmed them. */
  readonly resent: number;
  /** Everything that could not be used, by name: a failure of frames.ts, decode.ts or of the client. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Called from the source's own turn of the event loop; must not throw. */
export interface SourceListeners {
  /** A probe answered: the first one, or another one after a reconnect. */
  readonly hello?: (hello: Hello) => void;
  /** A connection ended; only while settings.records is on. */
  readonly connection?: (connection: Connection) => void;
  /** What is wrong with what the probe stands on: after each HELLO, and whenever it changes. */
  readonly troubles?: (troubles: readonly ProbeTrouble[]) => void;
  /** Both clocks of the probe at one moment: with every HELLO, and at an exchange's begin and end. */
  readonly clocks?: (moment: Pick<Exchange, "bootNs" | "realtimeNs">) => void;
}

export type SourceErrorCode =
  /** No connection, or it broke before the answer was complete. */
  | "disconnected"
  /** Connected, but no complete answer in time. The connection is given up. */
  | "timeout"
  /** The probe speaks another version of the protocol; the message says which side to upgrade. */
  | "protocol_mismatch"
  /** The probe's answer made no sense: frames out of order or a stream that cannot be split. */
  | "bad_stream"
  /** close() was called. */
  | "closed"
  /** A recording ends in the middle of something, or holds bytes that no recorder wrote. */
  | "recording_damaged";

/** Why a call to a source failed. Only the call failed: the source itself goes on, unless `closed`. */
export class SourceError extends Error {
  override readonly name = "SourceError";
  readonly code: SourceErrorCode;

  constructor(code: SourceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What every call gets after close(). */
export function closedError(): SourceError {
  return new SourceError("closed", "the source was closed");
}

export interface ProbeSource {
  /** The newest HELLO; waits for the first one. Rejects with a SourceError when none comes in time. */
  hello(): Promise<Hello>;

  /**
   * Asks for one exchange and collects it. One at a time: a second call meanwhile throws an Error. Settles that were
   * not flushed are flushed first.
   *
   * @returns the exchange, or undefined when the source has ended (only a recording does)
   * @throws SourceError when no complete exchange came; nothing is lost, the next one says it again
   */
  exchange(): Promise<ExchangeData | undefined>;

  /**
   * Says that the Collector has accepted these rows. Returns at once; the rows are kept and sent again to
   * each new probe until a flush confirms them. The probe takes the rows of one call together: an agent that is
   * killed meanwhile has settled all of them or none, but for calls of more than 4 MiB.
   */
  settle(rows: readonly SettledRow[]): void;

  /**
   * Resolves when the probe has applied all rows settled so far, also across a reconnect.
   *
   * @throws SourceError when no answer comes in time; the rows are kept and still go first
   */
  flush(): Promise<Settled>;

  /** Changes the probe's settings, now and on every later connection. */
  settings(settings: ProbeSettings): void;

  /** Replaces the set of prefix rules, now and on every later connection. Throws RangeError on a bad prefix. */
  prefixRules(rules: readonly PrefixRule[]): void;

  stats(): SourceStats;

  /** Ends the connection; pending and later calls reject with `closed`. Flush first what must be settled. */
  close(): Promise<void>;
}
