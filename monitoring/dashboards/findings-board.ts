/** What is wrong now, where, and since when. Pure data. */
import { sum } from "@grafana/promql-builder";
import * as m from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";
import type { DashboardRows } from "./panel.ts";
import { of, type Query } from "./query.ts";

const ACTIVE = m.METRIC_FLOWSPAN_FINDINGS_ACTIVE;
const WHERE = [LABEL.namespace, LABEL.pod, LABEL.service, LABEL.k8sNode, LABEL.host] as const;

export const FINDINGS_BOARD: DashboardRows = {
  uid: "flowspan-findings",
  title: "flowspan / Findings",
  about: "What flowspan has found to be wrong. Each name has a runbook; the log records have the evidence.",
  choices: [{ name: "namespace", title: "Namespace", label: LABEL.namespace, from: series(ACTIVE) }],
  sections: [
    {
      title: "Now",
      panels: [
        {
          title: "Active findings",
          kind: "table",
          unit: "short",
          about: "By name and place. Several on one place, for different ports or peers, add up.",
          width: 24,
          queries: [{ query: active([LABEL.finding, LABEL.findingSeverity, ...WHERE]), legend: "active" }],
        },
        {
          title: "Active findings by name",
          kind: "lines",
          unit: "short",
          about: "When each came and went.",
          width: 12,
          queries: [{ query: active([LABEL.finding]), legend: `{{${LABEL.finding}}}` }],
        },
        {
          title: "Active findings by place",
          kind: "lines",
          unit: "short",
          about: "Which pod or node has how many.",
          width: 12,
          queries: [{ query: active(WHERE), legend: `{{${LABEL.namespace}}}/{{${LABEL.pod}}} {{${LABEL.k8sNode}}}` }],
        },
      ],
    },
  ],
};

function active(by: readonly string[]): Query {
  return sum(of(ACTIVE, { namespace: "$namespace" })).by([...by]);
}
