/**
 * Evidence of trouble, as the kernel tells it: bpf/contract/evidence.h, decoded.
 *
 * Only types live here. Times are CLOCK_BOOTTIME nanoseconds as `bigint` where the name ends in `Ns`.
 */
import type { Role } from "./edge.ts";

export type EvidenceKind = "drop" | "neighbour-unresolved" | "neighbour-overflow";

/** Of a packet where it was dropped; `forward`: it had come in, and was to go on. */
export type PacketDirection = "receive" | "transmit" | "forward";

export interface EvidenceKey {
  readonly kind: EvidenceKind;
  /** Of a drop the kernel's number, else 0. */
  readonly reason: number;
  /** Of the packet's socket; 0: none is known. */
  readonly cgroup: bigint;
  /** Canonical text; undefined where the packet shows none. Of what is received its destination, else its source. */
  readonly localAddress: string | undefined;
  readonly remoteAddress: string | undefined;
  /** 0: not known. */
  readonly netns: number;
  readonly ifindex: number;
  /** Host order; 0: none. */
  readonly serverPort: number;
  readonly etherType: number;
  /** Undefined where it is no packet. */
  readonly direction: PacketDirection | undefined;
  /** IPPROTO_…; 0: none. */
  readonly transport: number;
  /** Of `localAddress`; undefined without a port. */
  readonly role: Role | undefined;
  /** TCP: it begins a connection, as SYN or SYN-ACK. */
  readonly syn: boolean;
}

/** Growth of one key since it was last settled. */
export interface EvidenceRow {
  /** The key's bytes as latin1 text. */
  readonly id: string;
  readonly key: EvidenceKey;
  readonly exchange: bigint;
  readonly sinceNs: bigint;
  readonly count: number;
  /** As the device was called when the key was first seen; "": not known. */
  readonly device: string;
  /** The frame's payload: what settling sends back. */
  readonly row: Uint8Array;
}

/** All of one kind and reason since `startedNs`. */
export interface EvidenceTotal {
  readonly kindOf: EvidenceKind;
  readonly reason: number;
  /** The kernel's name of the reason, else its number; "" where it is no drop. */
  readonly name: string;
  readonly startedNs: bigint;
  readonly count: number;
  readonly leftOut: number;
}

/** One of the kernel's two neighbour tables, absolute since the machine started. */
export interface NeighbourTable {
  readonly family: "ipv4" | "ipv6";
  readonly thresholds: readonly [number, number, number];
  readonly entries: number;
  readonly overflows: number;
  readonly unresolved: number;
}

/** Of one net namespace, absolute since it was made; all 0 where nothing is tracked. */
export interface ConntrackCounters {
  readonly entries: number;
  readonly limit: number;
  readonly insertFailed: number;
  readonly drop: number;
  readonly earlyDrop: number;
}

/** All evidence of one exchange. */
export interface ExchangeEvidence {
  readonly rows: readonly EvidenceRow[];
  readonly totals: readonly EvidenceTotal[];
  readonly neighbourTables: readonly NeighbourTable[];
}
