/**
 * What `flowspan top` shows and `flowspan top --once --json` prints: all live edges at one moment.
 *
 * Plain JSON values only. Totals count from the agent's start and include growth that the Collector has
 * not accepted yet; nothing here is rounded.
 */

import type { Role } from "../model/edge.ts";
import type { RemoteEnd } from "../model/names.ts";

export interface Snapshot {
  /** Of the last exchange; 0 before the first. */
  readonly timeUnixMs: number;
  /** What the rates are over; 0 before the second exchange. */
  readonly intervalMs: number;
  readonly edges: readonly EdgeSnapshot[];
}

export interface EdgeSnapshot {
  readonly role: Role;
  /** A kernel's edge for what found no room of its own, the cgroup's or all the rest (cgroup "0"): addresses mean nothing. */
  readonly overflow: boolean;
  readonly local: LocalSnapshot;
  readonly remote: RemoteSnapshot;
  readonly serverPort: number;
  readonly netns: number;
  /** Why the edge is not exported yet: its names are awaited. Null for a named one. */
  readonly pending: string | null;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segmentsSent: number;
  readonly segmentsReceived: number;
  readonly retransmits: RetransmitsSnapshot;
  readonly outOfOrder: number;
  readonly opened: number;
  readonly closed: number;
  readonly failed: FailedSnapshot;
  readonly resets: { readonly sent: number; readonly received: number };
  /** Now: open connections; for a listener, connections that wait to be accepted. */
  readonly open: number;
  /** A listener's backlog limit. */
  readonly limit: number;
  /** Segments that a listener has dropped. */
  readonly drops: number;
  /** Over the last interval. */
  readonly rates: {
    readonly bytesSentPerSecond: number;
    readonly bytesReceivedPerSecond: number;
    readonly openedPerSecond: number;
  };
  readonly rtt: QuantilesSnapshot;
  readonly handshake: QuantilesSnapshot;
}

export interface LocalSnapshot {
  readonly label: string;
  readonly address: string;
  readonly cgroup: string;
}

export interface RemoteSnapshot {
  readonly label: string;
  readonly address: string;
  /** `unknown` also while the name is awaited. */
  readonly kind: RemoteEnd["kind"];
  readonly name: string | null;
  readonly namespace: string | null;
  readonly pod: string | null;
}

export interface RetransmitsSnapshot {
  readonly syn: number;
  readonly fast: number;
  readonly timeout: number;
  readonly tailLossProbe: number;
  readonly nonCongestion: number;
  readonly other: number;
  /** Not part of the six above. */
  readonly spurious: number;
}

/** Connections that never came to be, by `error.type`. */
export interface FailedSnapshot {
  readonly refused: number;
  readonly timed_out: number;
  readonly reset: number;
  readonly host_unreachable: number;
  readonly net_unreachable: number;
  readonly cancelled: number;
  readonly no_local_port: number;
  readonly not_sent: number;
  readonly _OTHER: number;
}

/** Microseconds; null where nothing was measured. A value is at most 9.1 % off. */
export interface QuantilesSnapshot {
  readonly p50Us: number | null;
  readonly p99Us: number | null;
}
