/**
 * One alert for each finding of the registry: it fires while the agent says that the finding is active. Pure.
 *
 * Whether something is wrong is the agent's to judge, with thresholds and hysteresis of its own: nothing is judged here again. What one
 * agent cannot know is added: that another node's agent has found the cause.
 */
import type { FindingName } from "../../agent/generated/findings.ts";
import * as metrics from "../../agent/generated/semconv.ts";
import type { FindingRow } from "../../semconv/findings.ts";
import { LABEL, series } from "../prometheus-names.ts";
import type { Alert, Pace, Severity } from "./rule.ts";

/** Where a finding is: a pod, or what is none. */
export const FINDING_LABELS = [
  ...[LABEL.cluster, LABEL.namespace, LABEL.pod, LABEL.serviceNamespace, LABEL.service, LABEL.k8sNode, LABEL.host],
] as const;
const SEVERITIES: Readonly<Record<FindingRow["severity"], Severity>> = { warn: "warning", error: "critical" };
const POD = `{{ $labels.${LABEL.namespace} }}/{{ $labels.${LABEL.pod} }}`;
const OTHER = `{{ or $labels.${LABEL.service} $labels.${LABEL.k8sNode} $labels.${LABEL.host} }}`;
const WHERE = `{{ if $labels.${LABEL.pod} }}${POD}{{ else }}${OTHER}{{ end }}`;

/** What an agent sees of its own traffic while another node takes the packets away: only that node's agent sees the cause. */
const SYMPTOMS: ReadonlySet<string> = new Set<FindingName>(["connect_unanswered", "retransmits"]);
const CAUSES: readonly FindingName[] = [
  ...(["packets_dropped", "mtu_black_hole", "conntrack_full", "conntrack_insert_failed"] as const),
  "neighbour_table_overflow",
];
/** A symptom goes on for longer than its cause: the kernel waits before it sends again. */
const CAUSE_MINUTES = 2;

export function findingAlerts(findings: readonly FindingRow[], pace: Pace): Alert[] {
  const active = series(metrics.METRIC_FLOWSPAN_FINDINGS_ACTIVE);
  return findings.map(({ name, event, severity, cause, command, runbook }) => ({
    name: findingAlertName(name),
    expr: `sum by (${FINDING_LABELS.join(", ")}) (${active}{${LABEL.finding}="${name}"}${SYMPTOMS.has(name) ? unlessCaused(active, pace) : ""}) > 0`,
    forMinutes: 0,
    severity: SEVERITIES[severity],
    summary: `${WHERE}: ${event.brief}`,
    description: `${cause} To look: ${command}`,
    runbook,
  }));
}

/** Where the peers' node has a finding that names a cause, that one alerts. */
function unlessCaused(active: string, { range }: Pace): string {
  const causes = `max_over_time(${active}{${LABEL.finding}=~"${CAUSES.join("|")}"}[${range(CAUSE_MINUTES)}]) > 0`;
  const ofPeers = `label_replace(${causes}, "${LABEL.peerNode}", "$1", "${LABEL.k8sNode}", "(.+)")`;
  return ` unless on (${LABEL.cluster}, ${LABEL.peerNode}) ${ofPeers}`;
}

/** `connect_refused` → `FlowspanConnectRefused` */
export function findingAlertName(finding: string): string {
  return `Flowspan${finding.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}`;
}
