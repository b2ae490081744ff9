/**
 * The values that travel through the pipeline, named after what they have become:
 * frames → events → (identified) edges → flows → requests.
 *
 * Only types and plain data live here. Times are CLOCK_BOOTTIME nanoseconds as `bigint` where the name
 * ends in `Ns`; counters are `number` (growth of one exchange stays far below 2^53).
 */
import type { EdgeCountersField } from "./generated/layout.ts";

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
  /** Indexed by EDGE_COUNTERS (generated/layout.ts). */
  readonly counters: Float64Array;
  /** Pairs (slot, count), flat; slots as in enum histogram_slot. */
  readonly slots: Uint32Array;
  readonly open: number;
  readonly limit: number;
  /** The frame's payload, owned by this value: what COMMAND_SETTLE sends back. */
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
  readonly pid: number;
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

/** One connection that ended or never came to be. */
export interface Connection {
  readonly key: EdgeKey;
  readonly startNs: bigint;
  readonly establishedNs: bigint;
  readonly endNs: bigint;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segsOut: number;
  readonly segsIn: number;
  readonly retransmits: number;
  readonly srttUs: number;
  readonly minRttUs: number;
  readonly pid: number;
  readonly localPort: number;
  readonly remotePort: number;
  readonly error: number;
  readonly flags: number;
  readonly comm: string;
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
  readonly label: string;
}

/** Both names of an edge. `pending` keeps its growth in the kernel until metadata has caught up. */
export type Identified =
  | { readonly state: "named"; readonly local: LocalEnd; readonly remote: RemoteEnd }
  | { readonly state: "pending"; readonly why: string };

/** Names both ends of edges. Implementations are pure lookups; effects only fill their tables. */
export interface Identity {
  /** Rises whenever an answer may have changed: callers cache names per version. */
  readonly version: number;
  addCgroup(cgroup: Cgroup): void;
  /** @param nowNs the exchange's time, to bound how long an edge may stay pending */
  identify(key: EdgeKey, sinceNs: bigint, nowNs: bigint): Identified;
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
  readonly exemplars?: {
    readonly handshake?: readonly Exemplar[];
    readonly rtt?: readonly Exemplar[];
    readonly retransmits?: readonly Exemplar[];
  };
}

export type Temporality = "cumulative" | "delta";

/** A metric as the registry (semconv/) defines it. */
export interface MetricDescriptor {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly instrument: "counter" | "updowncounter" | "gauge" | "histogram";
}

/** How one metric is read from a flow: aggregate/instruments.ts holds the one table of these. */
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
  | { readonly state: "accepted"; readonly rejectedPoints: number; readonly message: string }
  | {
      readonly state: "failed";
      /** One of a bounded set: a gRPC status name, an errno or `not_sent`. */
      readonly reason: string;
      /** For people: what the server or the network said. */
      readonly message?: string;
      readonly retryable: boolean;
      readonly retryAfterMs: number | undefined;
    };
