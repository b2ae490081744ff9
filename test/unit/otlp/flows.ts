/**
 * Builders of flows and of the table of metrics, with defaults: a test names only what matters to it.
 */
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { EdgeCounterName } from "../../../agent/model/edge.ts";
import type { BucketList, Flow, FlowNumbers, Histogram, Resource } from "../../../agent/model/flow.ts";
import type { FlowMetric } from "../../../agent/model/metric.ts";

export const SCOPE = { name: "flowspan", version: "1.2.3", schemaUrl: "https://example.org/schemas/1.0.0" };

/** One metric of each kind that the encoder tells apart. */
export const METRICS: readonly FlowMetric[] = [
  {
    metric: { name: "t.io", unit: "By", description: "Bytes.", instrument: "counter" },
    roles: ["client", "server"],
    points: [
      { attributes: { direction: "transmit" }, from: { counter: "bytesSent" }, emit: "always" },
      { attributes: { direction: "receive" }, from: { counter: "bytesReceived" }, emit: "always" },
    ],
  },
  {
    metric: { name: "t.retransmits", unit: "{segment}", description: "", instrument: "counter" },
    roles: ["client", "server"],
    points: [
      { attributes: { type: "syn" }, from: { counter: "retransmitsSyn" }, emit: "nonzero" },
      { attributes: { type: "fast" }, from: { counter: "retransmitsFast" }, emit: "nonzero" },
    ],
  },
  {
    metric: { name: "t.busy", unit: "s", description: "Time.", instrument: "counter" },
    roles: ["client", "server"],
    points: [{ attributes: {}, from: { counter: "busyUs", scale: 1e-6 }, emit: "always" }],
  },
  {
    metric: { name: "t.open", unit: "{connection}", description: "Open.", instrument: "updowncounter" },
    roles: ["client", "server"],
    points: [{ attributes: {}, from: { gauge: "open" }, emit: "always" }],
  },
  {
    metric: { name: "t.queue", unit: "", description: "Queued.", instrument: "gauge" },
    roles: ["listener"],
    points: [
      { attributes: { what: "depth" }, from: { gauge: "open" }, emit: "always" },
      { attributes: { what: "limit" }, from: { gauge: "limit" }, emit: "nonzero" },
    ],
  },
  {
    metric: { name: "t.rtt", unit: "s", description: "RTT.", instrument: "histogram" },
    roles: ["client", "server"],
    points: [{ attributes: { which: "smoothed" }, from: { histogram: "rtt" }, emit: "nonzero" }],
  },
  {
    metric: { name: "t.duration", unit: "s", description: "Duration.", instrument: "histogram" },
    roles: ["client"],
    points: [{ attributes: {}, from: { histogram: "duration" }, emit: "always" }],
  },
];

export const RESOURCE: Resource = { id: "shop/cart", attributes: { "k8s.pod.name": "cart-1" } };

/** @param counts by bucket */
export function histogram(counts: Readonly<Record<number, number>> = {}, sumUs = 0): Histogram {
  const occupied = Object.entries(counts).filter(([, count]) => count > 0);
  return { buckets: occupied.flatMap(([bucket, count]) => [Number(bucket), count]), sumUs };
}

export type FlowSpec = Partial<Omit<Flow, "counters">> & {
  readonly counters?: Partial<Record<EdgeCounterName, number>>;
};

export function flow(spec: FlowSpec = {}): Flow {
  const counters = new Float64Array(EDGE_COUNTERS.length);
  for (const [name, value] of Object.entries(spec.counters ?? {})) {
    counters[EDGE_COUNTERS.indexOf(name as EdgeCounterName)] = value;
  }
  return {
    resource: RESOURCE,
    attributes: { peer: "catalog" },
    role: "client",
    startUnixNs: 1_763_873_000_000_000_123n,
    timeUnixNs: 1_763_873_015_000_000_456n,
    handshake: histogram(),
    rtt: histogram(),
    duration: histogram(),
    open: 0,
    limit: 0,
    copyNumbers,
    ...spec,
    counters,
  };
}

const HISTOGRAMS = ["handshake", "rtt", "duration"] as const;

/** As a series does it: a histogram's sum is a counter. */
function copyNumbers(this: Flow, into: FlowNumbers): void {
  into.counters.set(this.counters);
  for (const name of HISTOGRAMS) {
    copyBuckets(this[name], into[name]);
    into.counters[EDGE_COUNTERS.indexOf(`${name}Us`)] = this[name].sumUs;
  }
}

function copyBuckets({ buckets }: Histogram, into: BucketList): void {
  for (const [i, number] of buckets.entries()) into.pairs[i] = number;
  into.length = buckets.length;
}
