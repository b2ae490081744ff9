/**
 * Series, back in the terms of the oracle: one edge for each role and port of each puppet, with its counters. By the
 * reference (docs/telemetry.md) alone; the agent's own table is not asked. What has no counter here is said.
 */
import { EDGE_COUNTERS, type EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Role } from "../../agent/model/edge.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import type { SeriesTotal } from "../otlp/oracle.ts";
import { ownerOf, PUPPETS } from "./agent-cgroups.ts";

/** Metric and what tells its points apart → the counter. */
const COUNTERS: Readonly<Record<string, EdgeCountersField>> = {
  "flowspan.tcp.io transmit": "bytesSent",
  "flowspan.tcp.io receive": "bytesReceived",
  "flowspan.tcp.segments transmit": "segsOut",
  "flowspan.tcp.segments receive": "segsIn",
  "flowspan.tcp.retransmits syn": "retransmitsSyn",
  "flowspan.tcp.retransmits fast": "retransmitsFast",
  "flowspan.tcp.retransmits timeout": "retransmitsTimeout",
  "flowspan.tcp.retransmits tail_loss_probe": "retransmitsTlp",
  "flowspan.tcp.retransmits non_congestion": "retransmitsNonCongestion",
  "flowspan.tcp.retransmits other": "retransmitsOther",
  "flowspan.tcp.retransmits.spurious": "spurious",
  "flowspan.tcp.out_of_order": "outOfOrder",
  "flowspan.tcp.connections": "opened",
  "flowspan.tcp.connections refused": "failedRefused",
  "flowspan.tcp.connections timed_out": "failedTimedOut",
  "flowspan.tcp.connections reset": "failedReset",
  "flowspan.tcp.connections host_unreachable": "failedHostUnreachable",
  "flowspan.tcp.connections net_unreachable": "failedNetUnreachable",
  "flowspan.tcp.connections cancelled": "failedCancelled",
  "flowspan.tcp.connections no_local_port": "failedNoLocalPort",
  "flowspan.tcp.connections not_sent": "failedNotSent",
  "flowspan.tcp.connections _OTHER": "failedOther",
  "flowspan.tcp.connections.closed": "closed",
  "flowspan.tcp.resets transmit": "resetSent",
  "flowspan.tcp.resets receive": "resetReceived",
  "flowspan.tcp.listener.drops": "listenerDrops",
};
/** In seconds; the sum of a histogram's values. */
const TIMES: Readonly<Record<string, EdgeCountersField>> = {
  "flowspan.tcp.send.time busy": "busyUs",
  "flowspan.tcp.send.time receive_window_limited": "rwndLimitedUs",
  "flowspan.tcp.send.time send_buffer_limited": "sndbufLimitedUs",
  "flowspan.tcp.handshake.duration": "handshakeUs",
  "flowspan.tcp.rtt": "rttUs",
  "flowspan.tcp.connection.duration": "durationUs",
};
const MOMENTS: Readonly<Record<string, "open" | "limit">> = {
  "flowspan.tcp.connections.open": "open",
  "flowspan.tcp.accept_queue.depth": "open",
  "flowspan.tcp.accept_queue.limit": "limit",
};
const TELLING_APART = ["network.io.direction", "flowspan.tcp.retransmit.type", "error.type", "flowspan.tcp.send.state"];

export interface Edges {
  readonly edges: readonly EdgeSum[];
  /** Series that are none of an edge's numbers. */
  readonly unknown: readonly string[];
}

/** @param totals all series of one program */
export function edgesOf(totals: readonly SeriesTotal[]): Edges {
  const edges = new Map<string, EdgeSum>();
  const unknown: string[] = [];
  for (const series of totals) {
    const key = groupOf(series);
    const edge = edges.get(key) ?? emptyEdge(series);
    edges.set(key, edge);
    const apart = TELLING_APART.flatMap((name) => series.attributes[name] ?? []);
    const name = [series.metric, ...apart].join(" ");
    const [counter, time, moment] = [COUNTERS[name], TIMES[name], MOMENTS[name]];
    if (counter) edge.counters[counter] += series.value;
    else if (time) edge.counters[time] += Math.round(series.value * 1e6);
    else if (moment) edge[moment] += series.value;
    else unknown.push(name);
  }
  return { edges: [...edges.values()], unknown };
}

/** Role, port and puppet of a series, as one text. */
export function groupOf({ attributes, resource }: Pick<SeriesTotal, "attributes" | "resource">): string {
  return `${attributes["flowspan.role"] ?? "listener"} ${attributes["server.port"]} of ${ownerOf(resource)?.puppet}`;
}

function emptyEdge({ attributes, resource }: SeriesTotal): EdgeSum {
  return {
    key: {
      cgroup: BigInt(PUPPETS.indexOf(ownerOf(resource)?.puppet ?? "a")),
      localAddress: "",
      remoteAddress: "",
      netns: 0,
      serverPort: Number(attributes["server.port"] ?? 0),
      role: (attributes["flowspan.role"] ?? "listener") as Role,
      overflow: attributes["otel.metric.overflow"] === true,
    },
    counters: Object.fromEntries(EDGE_COUNTERS.map((name) => [name, 0])) as EdgeSum["counters"],
    slots: new Map(),
    open: 0,
    limit: 0,
  };
}
