/**
 * The dashboard to begin with: how much goes, what fails, what is sent again, and between whom. Pure data.
 *
 * Each connection counts once at each end: sums here are of the client's end, so that pairs are not counted twice.
 */
import { or } from "@grafana/promql-builder";
import * as m from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";
import type { DashboardRows } from "./panel.ts";
import { of, PAIR, PAIR_LEGEND, perSecond, quantile, share, top } from "./query.ts";

export const NAMESPACE = {
  name: "namespace",
  title: "Namespace",
  label: LABEL.serviceNamespace,
  from: series(m.METRIC_FLOWSPAN_TCP_IO),
};
const CLIENT = { serviceNamespace: "$namespace", role: "client" } as const;
const SENT = { serviceNamespace: "$namespace", direction: "transmit" } as const;

export const OVERVIEW: DashboardRows = {
  uid: "flowspan-overview",
  title: "flowspan / Overview",
  about: "Who talks to whom, how much, how slow, and what fails. Sums are of the client's end of each connection.",
  choices: [NAMESPACE],
  sections: [
    {
      title: "Now",
      panels: [
        {
          title: "Payload",
          kind: "number",
          unit: "Bps",
          width: 6,
          about: "TCP payload in both directions, as clients count it: no headers, nothing twice.",
          queries: [{ query: perSecond(m.METRIC_FLOWSPAN_TCP_IO, CLIENT), legend: "" }],
        },
        {
          title: "Connections opened",
          kind: "number",
          unit: "cps",
          width: 6,
          about: "Attempts that clients completed, in a second.",
          queries: [{ query: perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, { ...CLIENT, error: "" }), legend: "" }],
        },
        {
          title: "Connections that fail",
          kind: "number",
          unit: "percentunit",
          width: 6,
          about: "The share of attempts that do not open.",
          queries: [
            {
              query: share(
                perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, { ...CLIENT, error: "!" }),
                perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, CLIENT),
              ),
              legend: "",
            },
          ],
        },
        {
          title: "Segments sent again",
          kind: "number",
          unit: "percentunit",
          width: 6,
          about: "The share of all segments that an end sent again. It is not the share that was lost.",
          queries: [
            {
              query: share(
                perSecond(m.METRIC_FLOWSPAN_TCP_RETRANSMITS, { serviceNamespace: "$namespace" }),
                perSecond(m.METRIC_FLOWSPAN_TCP_SEGMENTS, SENT),
              ),
              legend: "",
            },
          ],
        },
      ],
    },
    {
      title: "Between whom",
      panels: [
        {
          title: "Payload by pair",
          kind: "lines",
          unit: "Bps",
          width: 12,
          about: "The ten pairs with most payload, in both directions, at the client's end.",
          queries: [{ query: top(perSecond(m.METRIC_FLOWSPAN_TCP_IO, CLIENT, PAIR)), legend: PAIR_LEGEND }],
        },
        {
          title: "Connections opened by pair",
          kind: "lines",
          unit: "cps",
          width: 12,
          about: "The ten pairs that open most connections.",
          queries: [
            {
              query: top(perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, { ...CLIENT, error: "" }, PAIR)),
              legend: PAIR_LEGEND,
            },
          ],
        },
        {
          title: "Connections that fail, by pair and reason",
          kind: "lines",
          unit: "cps",
          width: 12,
          about: "refused: nobody listens. timed_out: no answer. Only the client counts failures.",
          queries: [
            {
              query: top(
                perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, { ...CLIENT, error: "!" }, [...PAIR, LABEL.error]),
              ),
              legend: `${PAIR_LEGEND} {{${LABEL.error}}}`,
            },
          ],
        },
        {
          title: "Segments sent again, by pair",
          kind: "lines",
          unit: "percentunit",
          width: 12,
          about: "The ten ends that send the largest share of their segments again.",
          queries: [
            {
              query: top(
                share(
                  perSecond(m.METRIC_FLOWSPAN_TCP_RETRANSMITS, { serviceNamespace: "$namespace" }, PAIR),
                  perSecond(m.METRIC_FLOWSPAN_TCP_SEGMENTS, SENT, PAIR),
                ),
              ),
              legend: PAIR_LEGEND,
            },
          ],
        },
        {
          title: "Round trip, 99th percentile, by pair",
          kind: "lines",
          unit: "s",
          width: 12,
          about: "The ten pairs with the longest round trips, at the client's end. Needs native histograms.",
          queries: [{ query: top(quantile(0.99, m.METRIC_FLOWSPAN_TCP_RTT, CLIENT, PAIR)), legend: PAIR_LEGEND }],
        },
        {
          title: "Payload between zones",
          kind: "lines",
          unit: "Bps",
          width: 12,
          about: "At the server's end, which sees the client's own address. Empty where nodes have no zone.",
          queries: [
            {
              query: perSecond(
                m.METRIC_FLOWSPAN_TCP_IO,
                { serviceNamespace: "$namespace", role: "server", peerZone: "!" },
                [LABEL.zone, LABEL.peerZone],
              ),
              legend: `{{${LABEL.peerZone}}} → {{${LABEL.zone}}}`,
            },
          ],
        },
        {
          title: "Waiting to be accepted",
          kind: "lines",
          unit: "short",
          width: 12,
          about: "The ten listeners with most connections that wait to be accepted, and what they drop in a second.",
          queries: [
            {
              query: top(of(m.METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_DEPTH, { serviceNamespace: "$namespace" })),
              legend: `{{${LABEL.service}}}:{{${LABEL.port}}} waiting`,
            },
            {
              query: top(
                perSecond(m.METRIC_FLOWSPAN_TCP_LISTENER_DROPS, { serviceNamespace: "$namespace" }, [
                  ...[LABEL.service, LABEL.port],
                ]),
              ),
              legend: `{{${LABEL.service}}}:{{${LABEL.port}}} dropped`,
            },
          ],
        },
        {
          title: "What ends connections early",
          kind: "lines",
          unit: "cps",
          width: 12,
          about: "The ten ends that send or receive most resets.",
          queries: [
            {
              query: top(
                or(
                  perSecond(m.METRIC_FLOWSPAN_TCP_RESETS, SENT, [LABEL.service, LABEL.peer, LABEL.direction]),
                  perSecond(m.METRIC_FLOWSPAN_TCP_RESETS, { ...SENT, direction: "receive" }, [
                    ...[LABEL.service, LABEL.peer, LABEL.direction],
                  ]),
                ),
              ),
              legend: `{{${LABEL.service}}} ({{${LABEL.direction}}}) {{${LABEL.peer}}}`,
            },
          ],
        },
      ],
    },
  ],
};
