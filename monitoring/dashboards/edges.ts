/** Every pair that talks, a line each: the table to sort and search. Pure data. */

import { sum } from "@grafana/promql-builder";
import * as m from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";
import { NAMESPACE } from "./overview.ts";
import type { DashboardRows } from "./panel.ts";
import { of, PAIR, PAIR_LEGEND, perSecond, type Query, quantile, share, top } from "./query.ts";

const MINE = { serviceNamespace: "$namespace", role: "$role" } as const;
const BY = [LABEL.role, ...PAIR, LABEL.peerKind] as const;

export const EDGES: DashboardRows = {
  uid: "flowspan-edges",
  title: "flowspan / Edges",
  about: "Every pair that talks. With both roles each connection is in two lines, one for each end.",
  choices: [NAMESPACE, { name: "role", title: "Role", label: LABEL.role, from: series(m.METRIC_FLOWSPAN_TCP_IO) }],
  sections: [
    {
      title: "Now",
      panels: [
        {
          title: "Pairs",
          kind: "table",
          unit: "short",
          about:
            "Rates are of a second. Segments sent again are a share of those that this end sent. The round trip needs native histograms.",
          width: 24,
          queries: [
            { query: perSecond(m.METRIC_FLOWSPAN_TCP_IO, MINE, BY), legend: "payload", unit: "Bps" },
            { query: attempts(""), legend: "opened", unit: "cps" },
            { query: attempts("!"), legend: "failed", unit: "cps" },
            { query: sum(of(m.METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN, MINE)).by([...BY]), legend: "open" },
            { query: sentAgain(), legend: "sent again", unit: "percentunit" },
            { query: quantile(0.99, m.METRIC_FLOWSPAN_TCP_RTT, MINE, BY), legend: "round trip p99", unit: "s" },
          ],
        },
        {
          title: "Payload of the busiest pairs",
          kind: "lines",
          unit: "Bps",
          about: "The ten pairs with most payload.",
          width: 24,
          queries: [
            {
              query: top(perSecond(m.METRIC_FLOWSPAN_TCP_IO, MINE, BY)),
              legend: `${PAIR_LEGEND} ({{${LABEL.role}}})`,
            },
          ],
        },
      ],
    },
  ],
};

function attempts(error: "" | "!"): Query {
  return perSecond(m.METRIC_FLOWSPAN_TCP_CONNECTIONS, { ...MINE, error }, BY);
}

function sentAgain(): Query {
  const sent = perSecond(m.METRIC_FLOWSPAN_TCP_SEGMENTS, { ...MINE, direction: "transmit" }, BY);
  return share(perSecond(m.METRIC_FLOWSPAN_TCP_RETRANSMITS, MINE, BY), sent);
}
