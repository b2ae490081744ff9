/**
 * A record of one connection, or an interim record of one that goes on: what becomes a span.
 *
 * Only types live here. Times are CLOCK_BOOTTIME nanoseconds where the name ends in `Ns`.
 */
import type { FlowspanTcpRecoveryState, NetworkConnectionState } from "../generated/semconv.ts";
import type { EdgeKey } from "./edge.ts";

/** Trouble on a connection, as it happened. */
export type ConnectionEventKind =
  | "retransmit_syn"
  | "retransmit_fast"
  | "retransmit_timeout"
  | "retransmit_tlp"
  | "retransmit_non_congestion"
  | "reset_sent"
  | "reset_received"
  | "zero_window";

export interface ConnectionEvent {
  readonly timeNs: bigint;
  readonly kind: ConnectionEventKind;
  /** Sent again by this event; else 0. */
  readonly segments: number;
  /** Undefined where the kernel has a state that has no name. */
  readonly state: NetworkConnectionState | undefined;
  readonly recovery: FlowspanTcpRecoveryState | undefined;
}

/** One connection that ended or never came to be, or what one that goes on has done lately: struct frame_connection. */
export interface Connection {
  readonly key: EdgeKey;
  /** 32 hex digits. */
  readonly traceId: string;
  readonly startNs: bigint;
  /** 0: never. */
  readonly establishedNs: bigint;
  readonly endNs: bigint;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** The rejection threshold that it was kept under, of 56 bits; SAMPLE_NEVER: no probability tells of it. */
  readonly sampleThreshold: bigint;
  readonly segsOut: number;
  readonly segsIn: number;
  readonly retransmits: number;
  readonly retransmitsSyn: number;
  readonly retransmitsFast: number;
  readonly retransmitsTimeout: number;
  readonly retransmitsTlp: number;
  readonly retransmitsNonCongestion: number;
  readonly spurious: number;
  readonly outOfOrder: number;
  /** 0: not known. */
  readonly handshakeUs: number;
  readonly srttUs: number;
  readonly minRttUs: number;
  readonly lastRttUs: number;
  readonly busyUs: number;
  readonly rwndLimitedUs: number;
  readonly sndbufLimitedUs: number;
  readonly pid: number;
  /** Interim records of this connection before this one. */
  readonly interims: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** errno at the end, 0 for a clean one. */
  readonly error: number;
  /** A bit for each of enum connection_flag. */
  readonly flags: number;
  /** A bit for each of enum sample_reason. */
  readonly kept: number;
  /** Before the end; of an interim record, when it was made. */
  readonly state: NetworkConnectionState | undefined;
  readonly comm: string;
  /** In order of time. */
  readonly events: readonly ConnectionEvent[];
}
