/** One service's network: what it asks of others, what others ask of it, and what it waits for. Pure data. */
import { sum } from "@grafana/promql-builder";
import * as m from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";
import { NAMESPACE } from "./overview.ts";
import type { DashboardRows, PanelRow } from "./panel.ts";
import { type Matchers, of, perSecond, quantile, share } from "./query.ts";

const ME = { serviceNamespace: "$namespace", service: "$service" } as const;
const PEER = [LABEL.peerNamespace, LABEL.peer, LABEL.port] as const;
const PEER_LEGEND = `{{${LABEL.peerNamespace}}}/{{${LABEL.peer}}}:{{${LABEL.port}}}`;

export const SERVICE: DashboardRows = {
  uid: "flowspan-service",
  title: "flowspan / One service",
  about: "The network of one service, from its own end of each connection.",
  choices: [
    NAMESPACE,
    {
      name: "service",
      title: "Service",
      label: LABEL.service,
      from: `${series(m.METRIC_FLOWSPAN_TCP_IO)}{${LABEL.serviceNamespace}=~"$namespace"}`,
    },
  ],
  sections: [
    { title: "What it asks of others", panels: end("client", "server") },
    { title: "What others ask of it", panels: [...end("server", "client"), ...listening()] },
    { title: "How it goes", panels: how() },
  ],
};

function end(role: "client" | "server", peer: string): PanelRow[] {
  const mine: Matchers = { ...ME, role };
  const lines = { kind: "lines", width: 12 } as const;
  const panels: PanelRow[] = [
    {
      ...lines,
      title: `Payload by ${peer}`,
      unit: "Bps",
      about: `TCP payload that this service sends and receives as ${role}, no byte twice.`,
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_IO, mine, [...PEER, LABEL.direction]),
          legend: `${PEER_LEGEND} {{${LABEL.direction}}}`,
        },
      ],
    },
    {
      ...lines,
      title: `Connections by ${peer}`,
      unit: "cps",
      about: "Attempts in a second, by what became of them: without a reason they opened.",
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, mine, [...PEER, LABEL.error]),
          legend: `${PEER_LEGEND} {{${LABEL.error}}}`,
        },
      ],
    },
    {
      ...lines,
      title: `Round trip by ${peer}: median and 99th percentile`,
      unit: "s",
      about: "As the kernel measured it while connections were in use. Needs native histograms.",
      queries: [0.5, 0.99].map((phi) => ({
        query: quantile(phi, m.METRIC_FLOWSPAN_TCP_RTT, mine, PEER),
        legend: `${PEER_LEGEND} p${phi * 100}`,
      })),
    },
    {
      ...lines,
      title: `Time to open, 99th percentile, by ${peer}`,
      unit: "s",
      about: "From the first SYN to the handshake's end. One second or three: a SYN was lost. Needs native histograms.",
      queries: [{ query: quantile(0.99, m.METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, mine, PEER), legend: PEER_LEGEND }],
    },
  ];
  return panels;
}

function listening(): PanelRow[] {
  return [
    {
      title: "Waiting to be accepted, and the most that may",
      kind: "lines",
      unit: "short",
      width: 12,
      about: "At the limit the kernel drops what clients send to open connections.",
      queries: [
        { query: of(m.METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_DEPTH, ME), legend: `{{${LABEL.pod}}}:{{${LABEL.port}}}` },
        { query: of(m.METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_LIMIT, ME), legend: `{{${LABEL.pod}}}:{{${LABEL.port}}} limit` },
      ],
    },
    {
      title: "Dropped by its listeners",
      kind: "lines",
      unit: "pps",
      width: 12,
      about: "Segments that came to a listener and were dropped, mostly since nobody accepts.",
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_LISTENER_DROPS, ME, [LABEL.pod, LABEL.port]),
          legend: `{{${LABEL.pod}}}:{{${LABEL.port}}}`,
        },
      ],
    },
  ];
}

function how(): PanelRow[] {
  const lines = { kind: "lines", width: 12 } as const;
  return [
    {
      ...lines,
      title: "Segments sent again, by peer",
      unit: "percentunit",
      about: "The share of this service's own segments that it sent again.",
      queries: [
        {
          query: share(
            perSecond(m.METRIC_FLOWSPAN_TCP_RETRANSMITS, ME, PEER),
            perSecond(m.METRIC_FLOWSPAN_TCP_SEGMENTS, { ...ME, direction: "transmit" }, PEER),
          ),
          legend: PEER_LEGEND,
        },
      ],
    },
    {
      ...lines,
      title: "Segments sent again, by type",
      unit: "pps",
      about: "syn: a connection could not open at once. timeout: nothing came back for long.",
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_RETRANSMITS, ME, [LABEL.retransmitType]),
          legend: `{{${LABEL.retransmitType}}}`,
        },
      ],
    },
    {
      ...lines,
      title: "What it waits for when it sends",
      unit: "short",
      about:
        "Seconds in a second, of all connections: for the peer to read, for room in its own buffer, or for the network.",
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_SEND_TIME, ME, [LABEL.peer, LABEL.sendState]),
          legend: `{{${LABEL.peer}}} {{${LABEL.sendState}}}`,
        },
      ],
    },
    {
      ...lines,
      title: "Open connections",
      unit: "short",
      about: "Counted by a walk over the sockets, by peer and role.",
      queries: [
        {
          query: sum(of(m.METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN, ME)).by([LABEL.peer, LABEL.port, LABEL.role]),
          legend: `{{${LABEL.peer}}}:{{${LABEL.port}}} ({{${LABEL.role}}})`,
        },
      ],
    },
    {
      ...lines,
      title: "Resets",
      unit: "cps",
      about: "transmit: sent by this service. receive: it got one.",
      queries: [
        {
          query: perSecond(m.METRIC_FLOWSPAN_TCP_RESETS, ME, [LABEL.peer, LABEL.direction]),
          legend: `{{${LABEL.peer}}} {{${LABEL.direction}}}`,
        },
      ],
    },
    {
      ...lines,
      title: "How long connections live, median",
      unit: "s",
      about:
        "Of connections that ended. Seconds or less: a client opens one for each request. Needs native histograms.",
      queries: [
        {
          query: quantile(0.5, m.METRIC_FLOWSPAN_TCP_CONNECTION_DURATION, ME, [LABEL.peer]),
          legend: `{{${LABEL.peer}}}`,
        },
      ],
    },
  ];
}
