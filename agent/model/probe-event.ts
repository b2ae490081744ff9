/**
 * What the probe says, frame by frame: bpf/contract/contract.h, decoded.
 *
 * Only types live here. Times are CLOCK_BOOTTIME nanoseconds as `bigint` where the name ends in `Ns`.
 */
import type { FlowspanProbeTrouble } from "../generated/semconv.ts";
import type { Connection } from "./connection-record.ts";
import type { EdgeGrowth } from "./edge.ts";
import type { ConntrackCounters, EvidenceRow, EvidenceTotal, NeighbourTable } from "./kernel-evidence.ts";

export interface Hello {
  readonly protocol: number;
  readonly probePid: number;
  readonly features: bigint;
  readonly bootNs: bigint;
  readonly realtimeNs: bigint;
  readonly exchange: bigint;
  readonly startedNs: bigint;
  readonly edgeCapacity: number;
  readonly cpus: number;
  readonly kernel: string;
}

export interface Exchange {
  readonly exchange: bigint;
  readonly bootNs: bigint;
  readonly realtimeNs: bigint;
  readonly walkNs: bigint;
  readonly sockets: number;
  readonly edges: number;
}

export interface Cgroup {
  readonly id: bigint;
  readonly seenNs: bigint;
  /** Leaf first, at most four levels. */
  readonly names: readonly string[];
}

/** The kernel's own counters of one net namespace, absolute since its creation. */
export interface NamespaceCounters {
  readonly netns: number;
  /** A thread that lives in it. */
  readonly pid: number;
  /** Never given out again, as the inode number is; 0 where the kernel has none. */
  readonly cookie: bigint;
  readonly activeOpens: number;
  readonly passiveOpens: number;
  readonly attemptFails: number;
  readonly estabResets: number;
  readonly inSegs: number;
  readonly outSegs: number;
  readonly retransSegs: number;
  readonly outRsts: number;
  readonly listenOverflows: number;
  readonly listenDrops: number;
  readonly outNoRoutes: number;
  readonly syncookiesSent: number;
  readonly syncookiesReceived: number;
  readonly syncookiesFailed: number;
  readonly pruneCalled: number;
  readonly rcvPruned: number;
  readonly tcpRcvQDrop: number;
  readonly tcpAbortOnMemory: number;
  readonly tcpMemoryPressures: number;
  /** Of that thread; 0: not known. */
  readonly cgroup: bigint;
  readonly conntrack: ConntrackCounters;
}

export interface ProgramStats {
  readonly name: string;
  readonly runs: number;
  readonly runTimeNs: number;
  readonly recursionMisses: number;
}

export interface ProbeStatus {
  /** By the name that enum loss gives it, lower case without prefix: `edge_table_full_detail`. */
  readonly losses: Readonly<Record<string, number>>;
  readonly edges: number;
  readonly edgeCapacity: number;
  readonly evicted: number;
  readonly cgroups: number;
  readonly records: number;
  readonly probeCpuUs: number;
  readonly probeRssBytes: number;
  readonly adopted: number;
  /** Edges of the tenant that holds most, and what one may hold now. */
  readonly tenantEdges: number;
  readonly tenantLimit: number;
  /** Bytes that the cgroup which has the limit, else the probe's own, is charged for; 0: not known. */
  readonly memoryCharged: number;
  /** The lowest limit of the probe's cgroup and those above it, in bytes; 0: none, or not known. */
  readonly memoryLimit: number;
}

/** What is wrong with what the probe stands on: enum probe_trouble. */
export type ProbeTrouble = FlowspanProbeTrouble;

/** What one frame says. `kind` names the frame of bpf/contract/contract.h it came from. */
export type ProbeEvent =
  | ({ readonly kind: "hello" } & Hello)
  | ({ readonly kind: "exchange-begin" } & Exchange)
  | ({ readonly kind: "edge" } & EdgeGrowth)
  | ({ readonly kind: "cgroup" } & Cgroup)
  | ({ readonly kind: "namespace" } & NamespaceCounters)
  | ({ readonly kind: "program" } & ProgramStats)
  | ({ readonly kind: "status" } & ProbeStatus)
  | ({ readonly kind: "exchange-end" } & Exchange)
  | ({ readonly kind: "connection" } & Connection)
  | ({ readonly kind: "evidence" } & EvidenceRow)
  | ({ readonly kind: "evidence-total" } & EvidenceTotal)
  | ({ readonly kind: "neighbour-table" } & NeighbourTable)
  | { readonly kind: "trouble"; readonly troubles: readonly ProbeTrouble[] }
  | { readonly kind: "settled"; readonly rows: number; readonly unknown: number; readonly refused: number };
