/** flowspan itself: is it there, does it see, what does it lose, what does it cost. Pure data. */
import { count, div, max, min, sum } from "@grafana/promql-builder";
import * as m from "../../agent/generated/semconv.ts";
import { LABEL, series } from "../prometheus-names.ts";
import type { DashboardRows, PanelRow } from "./panel.ts";
import { of, perSecond, type Query, quantile, share } from "./query.ts";

/** The agent of one node; without Kubernetes, of one host. */
const BY = [LABEL.k8sNode, LABEL.host] as const;
const WHO = `{{${LABEL.k8sNode}}} {{${LABEL.host}}}`;
const HERE = { k8sNode: "$node" } as const;

export const OWN_HEALTH_BOARD: DashboardRows = {
  uid: "flowspan-own-health",
  title: "flowspan / Own health",
  about: "Whether what the other dashboards show is the whole, and what it costs.",
  choices: [{ name: "node", title: "Node", label: LABEL.k8sNode, from: series(m.METRIC_FLOWSPAN_EXCHANGE_AGE) }],
  sections: [
    { title: "Is it there", panels: presence() },
    { title: "Does it see, and what does it lose", panels: losses() },
    { title: "Names, and the way to the Collector", panels: ways() },
    { title: "What it costs", panels: costs() },
    { title: "Directory", panels: directory() },
  ],
};

function lines(
  title: string,
  unit: string,
  about: string,
  ...queries: readonly (readonly [Query, string])[]
): PanelRow {
  return {
    title,
    kind: "lines",
    unit,
    about,
    width: 12,
    queries: queries.map(([query, legend]) => ({ query, legend })),
  };
}

function presence(): PanelRow[] {
  const age = m.METRIC_FLOWSPAN_EXCHANGE_AGE;
  const number = { kind: "number", unit: "short", width: 8 } as const;
  return [
    {
      ...number,
      title: "Agents",
      about: "That report now.",
      queries: [{ query: count(of(age, HERE)), legend: "" }],
    },
    {
      ...number,
      title: "Agents without Resource labels",
      about:
        "Must be empty. Where it is not, the Collector keeps Resource attributes back, and no dashboard can tell nodes, pods and services apart: see the runbook flowspan-labels-missing.",
      queries: [{ query: count(of(age, { service: "" })), legend: "" }],
    },
    {
      ...number,
      title: "Oldest exchange",
      unit: "s",
      about: "Time since the probe of some node has answered.",
      queries: [{ query: max(of(age, HERE)), legend: "" }],
    },
  ];
}

function losses(): PanelRow[] {
  const seen = (metric: m.MetricDescriptor) => min(of(metric, HERE)).by([...BY]);
  return [
    lines(
      "Coverage, the least of all net namespaces",
      "percentunit",
      "The share of what the kernel counted that flows account for. 1 means that everything was seen.",
      [seen(m.METRIC_FLOWSPAN_COVERAGE_CONNECTIONS), `${WHO} connections`],
      [seen(m.METRIC_FLOWSPAN_COVERAGE_SEGMENTS), `${WHO} segments`],
    ),
    lines("Losses", "cps", "By name, in a second. The telemetry reference says what is lost and what to do.", [
      perSecond(m.METRIC_FLOWSPAN_LOSSES, HERE, [LABEL.reason]),
      `{{${LABEL.reason}}}`,
    ]),
    lines("How full the edge table is", "percentunit", "At 100 % new pairs share an overflow edge.", [
      max(div(of(m.METRIC_FLOWSPAN_EDGES_USAGE, HERE), of(m.METRIC_FLOWSPAN_EDGES_LIMIT, HERE))).by([...BY]),
      WHO,
    ]),
    lines(
      "Edges and cgroups",
      "short",
      "That the kernel side keeps.",
      [max(of(m.METRIC_FLOWSPAN_EDGES_USAGE, HERE)).by([...BY]), `${WHO} edges`],
      [max(of(m.METRIC_FLOWSPAN_CGROUPS_USAGE, HERE)).by([...BY]), `${WHO} cgroups`],
    ),
  ];
}

function ways(): PanelRow[] {
  const { METRIC_FLOWSPAN_EXPORT_REQUESTS: requests, METRIC_FLOWSPAN_METADATA_AGE: age } = m;
  return [
    lines(
      "Age of names",
      "s",
      "Time since a source of names confirmed what is known. Above 300 s an agent is not ready.",
      [max(of(age, HERE)).by([...BY, LABEL.feed]), `${WHO} {{${LABEL.feed}}}`],
    ),
    lines("Export requests", "reqps", "By what became of them: without a reason they were accepted.", [
      perSecond(requests, HERE, [LABEL.error]),
      `{{${LABEL.error}}}`,
    ]),
    lines("Data points", "short", "That flows send, in a second.", [
      perSecond(m.METRIC_FLOWSPAN_EXPORT_POINTS, HERE, BY),
      WHO,
    ]),
    lines("Time of an export request, 99th percentile", "s", "From sending to the answer. Needs native histograms.", [
      quantile(0.99, m.METRIC_FLOWSPAN_EXPORT_DURATION, HERE, BY),
      WHO,
    ]),
    lines(
      "Connection spans",
      "cps",
      "Observed is accepted, dropped or pending.",
      [perSecond(m.METRIC_FLOWSPAN_SPANS_OBSERVED, HERE), "observed"],
      [perSecond(m.METRIC_FLOWSPAN_SPANS_ACCEPTED, HERE), "accepted"],
      [perSecond(m.METRIC_FLOWSPAN_SPANS_DROPPED, HERE, [LABEL.reason]), `dropped: {{${LABEL.reason}}}`],
    ),
    lines("Connection spans that wait", "percentunit", "Their share of the places in the queue.", [
      share(
        max(of(m.METRIC_FLOWSPAN_SPANS_PENDING, HERE)).by([...BY]),
        max(of(m.METRIC_FLOWSPAN_SPANS_LIMIT, HERE)).by([...BY]),
      ),
      WHO,
    ]),
  ];
}

function costs(): PanelRow[] {
  return [
    lines(
      "CPU",
      "percentunit",
      "Of one core.",
      [perSecond(m.METRIC_PROCESS_CPU_TIME, { k8sNode: "$node", service: "flowspan" }, BY), `${WHO} agent`],
      [perSecond(m.METRIC_FLOWSPAN_PROBE_CPU_TIME, HERE, BY), `${WHO} probe`],
    ),
    lines(
      "Resident memory",
      "bytes",
      "With pages of the program file, which the kernel can take back.",
      [max(of(m.METRIC_PROCESS_MEMORY_USAGE, { k8sNode: "$node", service: "flowspan" })).by([...BY]), `${WHO} agent`],
      [max(of(m.METRIC_FLOWSPAN_PROBE_MEMORY_USAGE, HERE)).by([...BY]), `${WHO} probe`],
    ),
    lines(
      "Time of an exchange and of its walk, 99th percentile",
      "s",
      "The walk reads all sockets. Needs native histograms.",
      [quantile(0.99, m.METRIC_FLOWSPAN_EXCHANGE_DURATION, HERE, BY), `${WHO} exchange`],
      [quantile(0.99, m.METRIC_FLOWSPAN_WALK_DURATION, HERE, BY), `${WHO} walk`],
    ),
    lines("Sockets", "short", "That the last walk has seen.", [
      max(of(m.METRIC_FLOWSPAN_WALK_SOCKETS, HERE)).by([...BY]),
      WHO,
    ]),
  ];
}

function directory(): PanelRow[] {
  return [
    lines("Agents by replica", "short", "Whose stream is open. Empty where no directory is used.", [
      max(of(m.METRIC_FLOWSPAN_DIRECTORY_AGENTS)).by([LABEL.host]),
      `{{${LABEL.host}}}`,
    ]),
    lines("Refusals", "cps", "Connections that were not let in, or were ended because of what they said.", [
      perSecond(m.METRIC_FLOWSPAN_DIRECTORY_REFUSALS, {}, [LABEL.host, LABEL.error]),
      `{{${LABEL.host}}} {{${LABEL.error}}}`,
    ]),
    lines(
      "Answers and changes",
      "cps",
      "Answers to agents, and changes of the cluster's objects, in a second.",
      [perSecond(m.METRIC_FLOWSPAN_DIRECTORY_ANSWERS, {}, [LABEL.host]), `{{${LABEL.host}}} answers`],
      [perSecond(m.METRIC_FLOWSPAN_DIRECTORY_CHANGES, {}, [LABEL.host]), `{{${LABEL.host}}} changes`],
    ),
    lines("Addresses asked for", "short", "With their ports, by at least one agent of the replica.", [
      sum(of(m.METRIC_FLOWSPAN_DIRECTORY_ADDRESSES)).by([LABEL.host]),
      `{{${LABEL.host}}}`,
    ]),
  ];
}
