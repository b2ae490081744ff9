/**
 * The alerts for flowspan's own health: is it there, does it see, does it lose, does it get its data out. Pure.
 *
 * Each threshold stands here and nowhere else; the runbook says why it is what it is. No alert needs native histograms.
 */
import type { MetricDescriptor } from "../../agent/generated/semconv.ts";
import * as metrics from "../../agent/generated/semconv.ts";
import type { Loss } from "../../semconv/losses.ts";
import { LABEL, NODE, series } from "../prometheus-names.ts";
import { type Alert, growth, held, type Pace, PLACE, perNode, type Recording } from "./rule.ts";

/** Names that bpf/common/maps.h has room for; those that were unused for longest go first there, and no metric says the limit. */
export const CGROUPS_MAX = 4096;
const NODE_LABELS = `${LABEL.cluster}, ${NODE}`;

/** What the alerts read, by the name under which it is recorded. */
const RECORDED = {
  agent: "node:flowspan_agent:group",
  exchangeAge: "node:flowspan_exchange_age_seconds:max",
  connectionsSeen: "netns:flowspan_coverage_connections_ratio:min",
  segmentsSeen: "netns:flowspan_coverage_segments_ratio:min",
  losses: "node:flowspan_losses_total:max",
  lossesGrown: "node:flowspan_losses:growth",
  spansObserved: "node:flowspan_spans_observed_total:max",
  spansDropped: "node:flowspan_spans_dropped_total:max",
  edges: "node:flowspan_edges:usage_limit",
  cgroups: "node:flowspan_cgroups_usage:max",
  metadataAge: "feed:flowspan_metadata_age_seconds:max",
  requests: "node:flowspan_export_requests_total:max",
  refusals: "replica:flowspan_directory_refusals_total:max",
  unheard: "cluster:flowspan_directory_agents_missing:sum",
  troubles: "node:flowspan_probe_troubles:max",
} as const;

export function recordings(pace: Pace): Recording[] {
  const age = series(metrics.METRIC_FLOWSPAN_EXCHANGE_AGE);
  const usage = series(metrics.METRIC_FLOWSPAN_EDGES_USAGE);
  const limit = series(metrics.METRIC_FLOWSPAN_EDGES_LIMIT);
  const refusals = series(metrics.METRIC_FLOWSPAN_DIRECTORY_REFUSALS);
  const asking = `${series(metrics.METRIC_FLOWSPAN_METADATA_AGE)}{${LABEL.feed}="directory"}`;
  const rows: readonly (readonly [keyof typeof RECORDED, string])[] = [
    ["agent", perNode("group", age)],
    ["exchangeAge", perNode("max", age)],
    ["connectionsSeen", perNode("min", series(metrics.METRIC_FLOWSPAN_COVERAGE_CONNECTIONS), LABEL.netns)],
    ["segmentsSeen", perNode("min", series(metrics.METRIC_FLOWSPAN_COVERAGE_SEGMENTS), LABEL.netns)],
    ["losses", perNode("max", series(metrics.METRIC_FLOWSPAN_LOSSES), LABEL.reason)],
    ["lossesGrown", growth(RECORDED.losses, pace)],
    ["spansObserved", perNode("max", series(metrics.METRIC_FLOWSPAN_SPANS_OBSERVED))],
    ["spansDropped", perNode("max", series(metrics.METRIC_FLOWSPAN_SPANS_DROPPED), LABEL.reason)],
    ["edges", perNode("max", `${usage} / ${limit}`)],
    ["cgroups", perNode("max", series(metrics.METRIC_FLOWSPAN_CGROUPS_USAGE))],
    ["metadataAge", perNode("max", series(metrics.METRIC_FLOWSPAN_METADATA_AGE), LABEL.service, LABEL.feed)],
    ["requests", perNode("max", series(metrics.METRIC_FLOWSPAN_EXPORT_REQUESTS), LABEL.error)],
    ["unheard", `count(${asking}) - on () sum(${series(metrics.METRIC_FLOWSPAN_DIRECTORY_AGENTS)})`],
    ["troubles", perNode("max", series(metrics.METRIC_FLOWSPAN_PROBE_TROUBLES), LABEL.trouble)],
    ["refusals", `max by (${LABEL.cluster}, ${LABEL.host}, ${LABEL.error}) (${refusals})`],
  ];
  return rows.map(([key, expr]) => ({ record: RECORDED[key], expr }));
}

export function ownHealth(pace: Pace, losses: readonly Loss[]): Alert[] {
  return [
    ...presence(pace),
    ...coverage(pace),
    ...lossAlerts(losses),
    spansDropped(pace),
    ...tables(pace),
    ...names(pace),
    ...exporting(pace),
    ...directory(pace),
  ];
}

function presence(pace: Pace): Alert[] {
  const { range, seconds } = pace;
  const age = series(metrics.METRIC_FLOWSPAN_EXCHANGE_AGE);
  return [
    {
      name: "FlowspanAbsent",
      expr: `absent(${age})`,
      forMinutes: 10,
      severity: "critical",
      summary: "No flowspan agent reports to this Prometheus.",
      description:
        "There is no series of any agent. The Collector is away, Prometheus does not reach it, or names are translated in another way than the rules expect.",
      runbook: "flowspan-absent",
    },
    {
      name: "FlowspanLabelsMissing",
      expr: `count(${held(`${age}{${LABEL.service}=""}`, pace)}) > 0`,
      forMinutes: 10,
      severity: "warning",
      summary: "Series of {{ $value }} flowspan agents lack their Resource attributes.",
      description:
        "The Collector's Prometheus exporter leaves Resource attributes in target_info. Alerts and dashboards cannot tell nodes, pods and services apart.",
      runbook: "flowspan-labels-missing",
    },
    {
      name: "FlowspanAgentDown",
      expr: `(last_over_time(${RECORDED.agent}{${NODE}!=""}[${range(60)}]) unless ${RECORDED.agent})\nand on () ${held(RECORDED.agent, pace)}`,
      forMinutes: 5,
      severity: "warning",
      summary: `The flowspan agent on ${PLACE} has stopped reporting.`,
      description:
        "The node had an agent within the last hour and has none now. The kernel goes on counting, so a new agent sends what is missing.",
      runbook: "flowspan-agent-down",
    },
    {
      name: "FlowspanProbeDown",
      expr: `${RECORDED.exchangeAge} > ${seconds(5)}`,
      forMinutes: 1,
      severity: "warning",
      summary: `flowspan on ${PLACE} has read nothing from the kernel for {{ $value | humanizeDuration }}.`,
      description:
        "The agent runs and its probe does not answer. Growth stays in the kernel; names of connections that end meanwhile may be missing.",
      runbook: "flowspan-probe-down",
    },
    {
      name: "FlowspanProbeTrouble",
      expr: `${held(RECORDED.troubles, pace)} > 0`,
      forMinutes: 5,
      severity: "warning",
      summary: `The probe on ${PLACE} has lost what it stands on: {{ $labels.${LABEL.trouble} }}.`,
      description:
        "Its pins, hooks or cgroup filter are not as it made them, and a start of the probe does not mend it. Connections may be missing.",
      runbook: "flowspan-probe-trouble",
    },
  ];
}

function coverage(pace: Pace): Alert[] {
  const [connections, segments] = [RECORDED.connectionsSeen, RECORDED.segmentsSeen].map((each) => held(each, pace));
  const where = `net namespace {{ $labels.${LABEL.netns} }} on ${PLACE}`;
  return [
    {
      name: "FlowspanBlind",
      expr: `${connections} < 0.5`,
      forMinutes: 15,
      severity: "critical",
      summary: `flowspan sees {{ $value | humanizePercentage }} of the connections of ${where}.`,
      description:
        "Most connections that the kernel counted there are in no flow: what flowspan says of it is not the whole.",
      runbook: "flowspan-blind",
    },
    {
      name: "FlowspanCoverageLow",
      expr: `(${connections} >= 0.5 < 0.9)\nor\n(${segments} < 0.5 unless ${connections} < 0.9)`,
      forMinutes: 15,
      severity: "warning",
      summary: `flowspan sees {{ $value | humanizePercentage }} of what net namespace {{ $labels.${LABEL.netns} }} on ${PLACE} opened or sent.`,
      description: "A part of what the kernel counted there is in no flow.",
      runbook: "flowspan-coverage-low",
    },
  ];
}

function lossAlerts(losses: readonly Loss[]): Alert[] {
  const of = (severity: Loss["severity"]) => {
    const reasons = losses.filter((loss) => loss.severity === severity).map(({ name }) => name);
    return `${RECORDED.lossesGrown}{${LABEL.reason}=~"${reasons.join("|")}"} > 0`;
  };
  const reason = `{{ $labels.${LABEL.reason} }}`;
  return [
    {
      name: "FlowspanFactsLost",
      expr: of("warning"),
      forMinutes: 0,
      severity: "warning",
      summary: `flowspan on ${PLACE} has lost facts: ${reason}, some {{ $value | humanize }} in ten minutes.`,
      description: "Totals lack what was lost. The name of the loss says what that is and what to do.",
      runbook: "flowspan-facts-lost",
    },
    {
      name: "FlowspanDetailLost",
      expr: of("info"),
      forMinutes: 0,
      severity: "info",
      summary: `flowspan on ${PLACE} has lost detail: ${reason}, some {{ $value | humanize }} in ten minutes.`,
      description:
        "Totals of metrics stay exact. A name, a place or a span is missing, or what is known not to be seen.",
      runbook: "flowspan-detail-lost",
    },
  ];
}

function spansDropped(pace: Pace): Alert {
  const dropped = `sum by (${NODE_LABELS}) (${growth(RECORDED.spansDropped, pace)})`;
  return {
    name: "FlowspanSpansDropped",
    expr: `${dropped} / ${growth(RECORDED.spansObserved, pace)} > 0.01`,
    forMinutes: 5,
    severity: "warning",
    summary: `flowspan on ${PLACE} drops {{ $value | humanizePercentage }} of its connection spans.`,
    description: "Metrics are not touched. Connections in trouble may have no span.",
    runbook: "flowspan-spans-dropped",
  };
}

function tables(pace: Pace): Alert[] {
  const ratio = (used: MetricDescriptor, limit: MetricDescriptor): string =>
    `${held(series(used), pace)} / ${held(series(limit), pace)}`;
  const memory = ratio(metrics.METRIC_PROCESS_MEMORY_USAGE, metrics.METRIC_FLOWSPAN_MEMORY_LIMIT);
  const probe = ratio(metrics.METRIC_FLOWSPAN_PROBE_MEMORY_CHARGED, metrics.METRIC_FLOWSPAN_PROBE_MEMORY_LIMIT);
  return [
    {
      name: "FlowspanEdgeTableFull",
      expr: `${held(RECORDED.edges, pace)} > 0.9`,
      forMinutes: 5,
      severity: "warning",
      summary: `flowspan's edge table on ${PLACE} is {{ $value | humanizePercentage }} full.`,
      description:
        "When it is full, growth of new pairs goes to one overflow edge: totals stay exact, pairs are no longer told apart.",
      runbook: "flowspan-edge-table-full",
    },
    {
      name: "FlowspanCgroupTableFull",
      expr: `${held(RECORDED.cgroups, pace)} > ${0.9 * CGROUPS_MAX}`,
      forMinutes: 5,
      severity: "warning",
      summary: `{{ $value }} cgroups on ${PLACE} have connections; flowspan keeps the names of ${CGROUPS_MAX}.`,
      description:
        "Beyond that the name that was unused for longest goes, and comes back with the cgroup's next socket. An agent that is started meanwhile does not know it.",
      runbook: "flowspan-cgroup-table-full",
    },
    {
      name: "FlowspanMemoryNearLimit",
      expr: `max by (${LABEL.cluster}, ${LABEL.service}, ${LABEL.k8sNode}, ${LABEL.host}) (${memory}) > 0.9`,
      forMinutes: 10,
      severity: "warning",
      summary: `{{ $labels.${LABEL.service} }} on {{ or $labels.${LABEL.k8sNode} $labels.${LABEL.host} }} uses {{ $value | humanizePercentage }} of the memory that its cgroup allows.`,
      description:
        "At the limit the kernel kills it. What it had not yet delivered stays in the kernel, but spans in its queue are lost.",
      runbook: "flowspan-memory-near-limit",
    },
    {
      name: "FlowspanProbeMemoryNearLimit",
      expr: `max by (${LABEL.cluster}, ${LABEL.k8sNode}, ${LABEL.host}) (${probe}) > 0.9`,
      forMinutes: 10,
      severity: "warning",
      summary: `The probe on {{ or $labels.${LABEL.k8sNode} $labels.${LABEL.host} }} uses {{ $value | humanizePercentage }} of the memory that its cgroup allows.`,
      description:
        "At the limit the kernel kills it, and each one after it that has no more room. What it counted stays in the kernel.",
      runbook: "flowspan-probe-memory-near-limit",
    },
  ];
}

function names({ seconds }: Pace): Alert[] {
  return [
    {
      name: "FlowspanMetadataStale",
      expr: `${RECORDED.metadataAge} > ${seconds(5)}`,
      forMinutes: 1,
      severity: "warning",
      summary: `Names of {{ $labels.${LABEL.feed} }} at {{ $labels.${LABEL.service} }} on ${PLACE} are {{ $value | humanizeDuration }} old.`,
      description: "The API server or the directory does not answer. Known names stay; new pods have none.",
      runbook: "flowspan-metadata-stale",
    },
  ];
}

function exporting(pace: Pace): Alert[] {
  const requests = (selector: string) => `sum by (${NODE_LABELS}) (${growth(`${RECORDED.requests}${selector}`, pace)})`;
  return [
    {
      name: "FlowspanExportsFailing",
      expr: `${requests(`{${LABEL.error}!=""}`)} / ${requests("")} > 0.05`,
      forMinutes: 5,
      severity: "warning",
      summary: `The Collector refuses {{ $value | humanizePercentage }} of the requests of flowspan on ${PLACE}.`,
      description: "What is refused stays in the kernel and comes again. Spans are given up after five minutes.",
      runbook: "flowspan-exports-failing",
    },
  ];
}

function directory(pace: Pace): Alert[] {
  const agents = series(metrics.METRIC_FLOWSPAN_DIRECTORY_AGENTS);
  const asking = `${RECORDED.metadataAge}{${LABEL.feed}="directory"}`;
  return [
    {
      name: "FlowspanDirectoryDown",
      expr: `count(${held(asking, pace)}) > 0 unless on () count(${agents})`,
      forMinutes: 5,
      severity: "critical",
      summary: "No replica of flowspan directory reports, and {{ $value }} agents ask it for names.",
      description: "Agents keep the names that they have. Peers on other nodes that are new have none.",
      runbook: "flowspan-directory-down",
    },
    {
      name: "FlowspanDirectoryAgentsMissing",
      expr: `${held(RECORDED.unheard, pace)} > 0`,
      forMinutes: 10,
      severity: "warning",
      summary: "{{ $value }} agents have no open stream to flowspan directory.",
      description: "They name peers as they were told last. FlowspanMetadataStale names them.",
      runbook: "flowspan-directory-agents-missing",
    },
    {
      name: "FlowspanDirectoryRefuses",
      expr: `${growth(RECORDED.refusals, pace)} > 0`,
      forMinutes: 0,
      severity: "warning",
      summary: `flowspan directory on {{ $labels.${LABEL.host} }} refuses agents: {{ $labels.${LABEL.error} }}.`,
      description:
        "Some {{ $value | humanize }} connections in ten minutes were not let in, or were ended because of what they said.",
      runbook: "flowspan-directory-refuses",
    },
  ];
}
