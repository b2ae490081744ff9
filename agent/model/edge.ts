/**
 * The kernel's edges: who talks to whom, and what that has grown by.
 *
 * Only types live here. Times are CLOCK_BOOTTIME nanoseconds as `bigint` where the name ends in `Ns`; counters
 * are `number` (growth of one exchange stays far below 2^53).
 */
import type { EdgeCountersField } from "../generated/layout.ts";

export type Role = "client" | "server" | "listener";

/** An edge's key, decoded. Addresses are canonical text: dotted for IPv4, RFC 5952 for IPv6. */
export interface EdgeKey {
  readonly cgroup: bigint;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly netns: number;
  readonly serverPort: number;
  readonly role: Role;
  /** True for an edge that takes what found no room of its own: a cgroup's, or all the rest where that is 0. Its addresses mean nothing. */
  readonly overflow: boolean;
}

/** Growth of one edge since it was last settled, as one FRAME_EDGE says it. */
export interface EdgeGrowth {
  /** The key's 48 bytes as latin1 text: a map key that needs no decoding. */
  readonly id: string;
  readonly exchange: bigint;
  readonly sinceNs: bigint;
  readonly open: number;
  readonly limit: number;
  /** @param index place in EDGE_COUNTERS (generated/layout.ts) */
  counter(index: number): number;
  /** How many slots have grown; slot(i) as in enum histogram_slot, and count(i) its growth. */
  readonly slotCount: number;
  slot(index: number): number;
  count(index: number): number;
  /** All counters: a copy, for what is not done thousands of times. */
  readonly counters: Float64Array;
  /** Flat pairs (slot, count): a copy. */
  readonly slots: Uint32Array;
  /** The frame's payload: what COMMAND_SETTLE sends back. */
  readonly row: Uint8Array;
}

export type EdgeCounterName = EdgeCountersField;
