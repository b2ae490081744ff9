/**
 * From exported points to what a person wants to see: who talks to whom, how fast, with what loss and
 * which failures. Sums the client ends of all pods of a workload; what a server saw is the same traffic again.
 *
 * Pure apart from its memory: points and the time go in, rows come out. Rates are taken over a window of some
 * seconds, from cumulative sums; a series that starts over goes on from zero.
 */
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_ROLE,
  ATTR_K8S_NODE_NAME,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
  FLOWSPAN_ROLE_VALUE_CLIENT,
  METRIC_FLOWSPAN_LOSSES,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
  METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN,
  METRIC_FLOWSPAN_TCP_IO,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_RTT,
  METRIC_FLOWSPAN_TCP_SEGMENTS,
  NETWORK_IO_DIRECTION_VALUE_TRANSMIT,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";

const WINDOW_MS = 10_000;

/** Dropped packets have a role, too, and addresses behind a Service. */
const FLOW_METRICS: ReadonlySet<string> = new Set(
  [
    ...[METRIC_FLOWSPAN_TCP_IO, METRIC_FLOWSPAN_TCP_SEGMENTS, METRIC_FLOWSPAN_TCP_RETRANSMITS, METRIC_FLOWSPAN_TCP_RTT],
    ...[METRIC_FLOWSPAN_TCP_CONNECTIONS, METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN],
  ].map(({ name }) => name),
);

/** One line of the picture. Rates are per second over the window. */
export interface DemoRow {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly connections: number;
  readonly open: number;
  /** Seconds; undefined where no round trip was measured. */
  readonly rttP50: number | undefined;
  readonly rttP99: number | undefined;
  /** Share of sent segments that were sent again, 0 to 1. */
  readonly resent: number;
  /** Failed connections by error.type since the start. */
  readonly failed: ReadonlyMap<string, number>;
}

interface Totals {
  bytesOut: number;
  bytesIn: number;
  segments: number;
  retransmits: number;
  opened: number;
}

interface Flow {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly totals: Totals;
  readonly failed: Map<string, number>;
  readonly open: Map<string, number>;
  /** Middle of a bucket in seconds, to its count. */
  readonly rtt: Map<number, number>;
  /** Oldest first; the first is at most WINDOW_MS old, or the last before it. */
  readonly history: { readonly atMs: number; readonly totals: Totals; readonly rtt: ReadonlyMap<number, number> }[];
}

interface Series {
  startUnixNs: bigint;
  value: number;
  buckets: ReadonlyMap<number, number>;
}

export class DemoRows {
  readonly #series = new Map<string, Series>();
  readonly #flows = new Map<string, Flow>();
  readonly #nodes = new Set<string>();
  /** Points received. */
  points = 0;
  /** Facts that flowspan says it lost, by reason. */
  readonly #losses = new Map<string, number>();

  get nodes(): number {
    return this.#nodes.size;
  }

  /** `nothing lost`, or how much under which names. */
  get losses(): string {
    const lost = [...this.#losses].map(([reason, count]) => `${count} ${reason}`);
    return lost.length === 0 ? "nothing lost" : `lost: ${lost.join(", ")}`;
  }

  add(points: readonly ReceivedPoint[]): void {
    this.points += points.length;
    for (const point of points) {
      const node = point.resource[ATTR_K8S_NODE_NAME];
      if (typeof node === "string") this.#nodes.add(node);
      this.#addPoint(point);
    }
  }

  /** The flows that have done anything yet, the busiest first. */
  rows(nowMs: number): DemoRow[] {
    return [...this.#flows.values()].map((flow) => rowOf(flow, nowMs)).sort((a, b) => weight(b) - weight(a));
  }

  #addPoint(point: ReceivedPoint): void {
    const { metric, attributes } = point;
    if (metric === METRIC_FLOWSPAN_LOSSES.name) this.#addLoss(String(attributes[ATTR_FLOWSPAN_LOSS_REASON]), point);
    else if (FLOW_METRICS.has(metric) && attributes[ATTR_FLOWSPAN_ROLE] === FLOWSPAN_ROLE_VALUE_CLIENT)
      this.#addFlow(this.#flowOf(point), point);
  }

  #addLoss(reason: string, point: ReceivedPoint): void {
    const count = this.#growth(point).value;
    if (count > 0) this.#losses.set(reason, (this.#losses.get(reason) ?? 0) + count);
  }

  #addFlow(flow: Flow, point: ReceivedPoint): void {
    const { metric, attributes } = point;
    const out = attributes[ATTR_NETWORK_IO_DIRECTION] === NETWORK_IO_DIRECTION_VALUE_TRANSMIT;
    if (metric === METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN.name) {
      flow.open.set(seriesKey(point), point.value);
      return;
    }
    const growth = this.#growth(point);
    if (metric === METRIC_FLOWSPAN_TCP_IO.name) flow.totals[out ? "bytesOut" : "bytesIn"] += growth.value;
    else if (metric === METRIC_FLOWSPAN_TCP_SEGMENTS.name) flow.totals.segments += out ? growth.value : 0;
    else if (metric === METRIC_FLOWSPAN_TCP_RETRANSMITS.name) flow.totals.retransmits += growth.value;
    else if (metric === METRIC_FLOWSPAN_TCP_CONNECTIONS.name) addOutcome(flow, attributes, growth.value);
    else if (metric === METRIC_FLOWSPAN_TCP_RTT.name) addRtt(flow, point.scale ?? 0, growth.buckets);
  }

  #flowOf({ resource, attributes }: ReceivedPoint): Flow {
    const from = localName(resource);
    const to = peerName(attributes);
    const port = Number(attributes[ATTR_SERVER_PORT] ?? 0);
    const key = `${from} ${to} ${port}`;
    const known = this.#flows.get(key);
    if (known) return known;
    const totals = { bytesOut: 0, bytesIn: 0, segments: 0, retransmits: 0, opened: 0 };
    const flow = { from, to, port, totals, failed: new Map(), open: new Map(), rtt: new Map(), history: [] };
    this.#flows.set(key, flow);
    return flow;
  }

  /** What a cumulative series has grown by since its last point; a new start begins at zero. */
  #growth(point: ReceivedPoint): { readonly value: number; readonly buckets: ReadonlyMap<number, number> } {
    const key = seriesKey(point);
    const buckets = point.buckets ?? new Map<number, number>();
    const before = this.#series.get(key);
    this.#series.set(key, { startUnixNs: point.startUnixNs, value: point.value, buckets });
    if (point.kind === "delta" || before?.startUnixNs !== point.startUnixNs) return { value: point.value, buckets };
    return { value: point.value - before.value, buckets: difference(buckets, before.buckets) };
  }
}

function seriesKey({ metric, resource, attributes }: ReceivedPoint): string {
  return JSON.stringify([metric, resource, attributes]);
}

function addOutcome(flow: Flow, attributes: Attributes, count: number): void {
  const error = attributes[ATTR_ERROR_TYPE];
  if (error === undefined) flow.totals.opened += count;
  else if (count > 0) flow.failed.set(String(error), (flow.failed.get(String(error)) ?? 0) + count);
}

function addRtt(flow: Flow, scale: number, buckets: ReadonlyMap<number, number>): void {
  for (const [index, count] of buckets) {
    const middle = 2 ** ((index + 0.5) / 2 ** scale);
    flow.rtt.set(middle, (flow.rtt.get(middle) ?? 0) + count);
  }
}

function rowOf(flow: Flow, nowMs: number): DemoRow {
  const { from, to, port, totals, history, failed } = flow;
  history.push({ atMs: nowMs, totals: { ...totals }, rtt: new Map(flow.rtt) });
  while ((history[1]?.atMs ?? Number.POSITIVE_INFINITY) <= nowMs - WINDOW_MS) history.shift();
  const oldest = history[0];
  const seconds = Math.max(1, (nowMs - (oldest?.atMs ?? nowMs)) / 1000);
  const grown = (name: keyof Totals) => totals[name] - (oldest?.totals[name] ?? 0);
  const recent = difference(flow.rtt, oldest?.rtt ?? new Map());
  const rtt = recent.size > 0 ? recent : flow.rtt;
  const segments = grown("segments");
  return {
    from,
    to,
    port,
    bytesOut: grown("bytesOut") / seconds,
    bytesIn: grown("bytesIn") / seconds,
    connections: grown("opened") / seconds,
    open: [...flow.open.values()].reduce((sum, value) => sum + value, 0),
    rttP50: quantile(rtt, 0.5),
    rttP99: quantile(rtt, 0.99),
    // Resends are counted as they happen, segments at the next walk: for a moment there can be more of them.
    resent: segments > 0 ? Math.min(1, grown("retransmits") / segments) : 0,
    failed,
  };
}

function weight(row: DemoRow): number {
  return row.bytesOut + row.bytesIn;
}

function difference(after: ReadonlyMap<number, number>, before: ReadonlyMap<number, number>): Map<number, number> {
  const grown = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
  return new Map(grown.filter(([, count]) => count > 0));
}

/** The middle of the bucket that holds the quantile. */
export function quantile(counts: ReadonlyMap<number, number>, share: number): number | undefined {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  let left = share * sorted.reduce((sum, [, count]) => sum + count, 0);
  for (const [middle, count] of sorted) {
    left -= count;
    if (left <= 0) return middle;
  }
  return undefined;
}

export function localName(resource: Attributes): string {
  return qualified(resource[ATTR_SERVICE_NAMESPACE], resource[ATTR_SERVICE_NAME] ?? "?");
}

export function peerName(attributes: Attributes): string {
  const name = attributes[ATTR_SERVICE_PEER_NAME] ?? `(${attributes[ATTR_FLOWSPAN_PEER_KIND] ?? "unknown"})`;
  return qualified(attributes[ATTR_SERVICE_PEER_NAMESPACE], name);
}

function qualified(namespace: Attributes[string] | undefined, name: Attributes[string]): string {
  return namespace === undefined ? String(name) : `${namespace}/${name}`;
}
