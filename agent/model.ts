/**
 * The values that travel through the pipeline, named after what they have become:
 * frames → events → (identified) edges → flows → requests.
 *
 * Only types and plain data live here. Times are CLOCK_BOOTTIME nanoseconds as `bigint` where the name
 * ends in `Ns`; counters are `number` (growth of one exchange stays far below 2^53).
 */
import type { EdgeCountersField } from "./generated/layout.ts";
import type { FlowspanTcpRecoveryState, NetworkConnectionState } from "./generated/semconv.ts";

export type Role = "client" | "server" | "listener";

/** An edge's key, decoded. Addresses are canonical text: dotted for IPv4, RFC 5952 for IPv6. */
export interface EdgeKey {
  readonly cgroup: bigint;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly netns: number;
  readonly serverPort: number;
  readonly role: Role;
  /** True for the edge that takes what found no room; its addresses mean nothing. */
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
}

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

/** One connection that ended or never came to be, or a stretch of one that goes on: struct frame_connection. */
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
  /** Stretches before this record. */
  readonly stretch: number;
  readonly localPort: number;
  readonly remotePort: number;
  /** errno at the end, 0 for a clean one. */
  readonly error: number;
  /** A bit for each of enum connection_flag. */
  readonly flags: number;
  /** A bit for each of enum sample_reason. */
  readonly kept: number;
  /** Before the end; of a stretch, at its end. */
  readonly state: NetworkConnectionState | undefined;
  readonly comm: string;
  /** In order of time. */
  readonly events: readonly ConnectionEvent[];
}

/** What one frame says. `kind` names the frame of bpf/flowspan.h it came from. */
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
  | { readonly kind: "settled"; readonly rows: number; readonly unknown: number };

/** Attribute values that OTLP points and resources of ours carry. */
export type AttributeValue = string | number | boolean | readonly string[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** The local end: the Resource that the pod's own SDK would send, or what is known of it. */
export interface LocalEnd {
  /** Equal ids mean the same Resource. */
  readonly id: string;
  readonly resource: Attributes;
  /** Short text for people: `shop/cart-7d9f`, `ssh.service`, `host`. */
  readonly label: string;
}

/** The remote end, as far as the address tells. `unknown` says unknown, never a guess. */
export interface RemoteEnd {
  readonly kind: "pod" | "service" | "node" | "host" | "loopback" | "cidr" | "external" | "unknown";
  /** Workload or service name: `service.peer.name`. */
  readonly name: string | undefined;
  /** `service.peer.namespace`. */
  readonly namespace: string | undefined;
  /** Opt-in detail: the pod's own name. */
  readonly podName: string | undefined;
  /** `flowspan.peer.zone`: of the node that it runs on. */
  readonly zone?: string | undefined;
  readonly label: string;
}

/** Both names of an edge. `pending` keeps its growth in the kernel until metadata has caught up. */
export type Identified =
  | {
      readonly state: "named";
      readonly local: LocalEnd;
      readonly remote: RemoteEnd;
      /** Later growth of this edge may be named otherwise at the same version: it is asked for anew. */
      readonly passing: boolean;
    }
  | { readonly state: "pending"; readonly why: string };

/** Names both ends of edges. Implementations are pure lookups; effects only fill their tables. */
export interface Identity {
  /** Rises whenever an answer may have changed: callers cache names per version, but none that is `passing`. */
  readonly version: number;
  addCgroup(cgroup: Cgroup): void;
  /**
   * Names the ends of growth that happened during (sinceNs, untilNs].
   *
   * @param nowNs the exchange's time, to bound how long an edge may stay pending; `untilNs` if left out
   */
  identify(key: EdgeKey, sinceNs: bigint, untilNs: bigint, nowNs?: bigint): Identified;
}

/** A Resource as OTLP means it. Equal ids mean equal attributes; the object is kept between exchanges. */
export interface Resource {
  readonly id: string;
  readonly attributes: Attributes;
}

/**
 * Growth or sum of one base-2 exponential histogram in microseconds, scale HISTOGRAM_SCALE.
 *
 * `buckets` are the occupied ones only, as flat pairs (OTLP bucket index in microseconds, count) by ascending
 * index; no count is 0. Export moves them to seconds.
 */
export interface Histogram {
  readonly buckets: readonly number[];
  readonly sumUs: number;
}

export interface Exemplar {
  readonly value: number;
  readonly timeUnixNs: bigint;
  readonly traceId: string;
  readonly spanId: string;
  readonly filteredAttributes: Attributes;
}

/**
 * All edges of one attribute set under one Resource: what becomes one point of every flow metric.
 * All points of a flow travel in one request, so that one answer of the Collector settles it whole.
 * `attributes` and `resource` are the same objects in every exchange: the encoder caches their bytes.
 */
export interface Flow {
  readonly resource: Resource;
  readonly attributes: Attributes;
  readonly role: Role;
  /** Unix nanoseconds: start of the sums (cumulative) or of the growth (delta). */
  readonly startUnixNs: bigint;
  readonly timeUnixNs: bigint;
  /** Indexed by EDGE_COUNTERS. */
  readonly counters: Float64Array;
  readonly handshake: Histogram;
  readonly rtt: Histogram;
  readonly duration: Histogram;
  readonly open: number;
  readonly limit: number;
  readonly exemplars?:
    | {
        readonly handshake?: readonly Exemplar[];
        readonly rtt?: readonly Exemplar[];
        readonly retransmits?: readonly Exemplar[];
      }
    | undefined;
}

export type Temporality = "cumulative" | "delta";

/** A metric as the registry (semconv/) defines it. */
export interface MetricDescriptor {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly instrument: "counter" | "updowncounter" | "gauge" | "histogram";
}

/** How one metric is read from a flow: agent/series/instruments.ts holds the one table of these. */
export interface FlowMetric {
  readonly metric: MetricDescriptor;
  readonly roles: readonly Role[];
  readonly points: readonly FlowPoint[];
}

export interface FlowPoint {
  /** Added to the flow's own attributes: `{ "network.io.direction": "transmit" }`. */
  readonly attributes: Attributes;
  readonly from:
    | { readonly counter: EdgeCounterName; readonly scale?: number }
    | { readonly gauge: "open" | "limit" }
    | { readonly histogram: "handshake" | "rtt" | "duration" };
  /** `always`, or only once the value has been other than zero. */
  readonly emit: "always" | "nonzero";
}

/** What became of one request. Only `accepted` settles rows. */
export type ExportOutcome =
  | {
      readonly state: "accepted";
      /** Of a partial success: points, or spans in a request of spans. */
      readonly rejectedPoints: number;
      readonly message: string;
    }
  | {
      readonly state: "failed";
      /** One of a bounded set: a gRPC status name, an errno, `UNUSABLE_FILE` (a certificate's) or `not_sent`. */
      readonly reason: string;
      /** For people: what the server or the network said. */
      readonly message?: string;
      /** Why, more finely than `reason`, and what to do, where both are known (agent/otlp/trouble.ts). */
      readonly cause?: string;
      readonly remedy?: string;
      readonly retryable: boolean;
      readonly retryAfterMs: number | undefined;
    };
