/**
 * One alert for each finding of the registry: it fires while the agent says that the finding is active. Pure.
 *
 * Whether something is wrong is the agent's to judge, with thresholds and hysteresis of its own: nothing is judged here again.
 */
import * as metrics from "../../agent/generated/semconv.ts";
import type { FindingRow } from "../../semconv/findings.ts";
import { LABEL, series } from "../prometheus-names.ts";
import type { Alert, Severity } from "./rule.ts";

/** Where a finding is: a pod, or what is none. */
export const FINDING_LABELS = [
  ...[LABEL.cluster, LABEL.namespace, LABEL.pod, LABEL.serviceNamespace, LABEL.service, LABEL.k8sNode, LABEL.host],
] as const;
const SEVERITIES: Readonly<Record<FindingRow["severity"], Severity>> = { warn: "warning", error: "critical" };
const POD = `{{ $labels.${LABEL.namespace} }}/{{ $labels.${LABEL.pod} }}`;
const OTHER = `{{ or $labels.${LABEL.service} $labels.${LABEL.k8sNode} $labels.${LABEL.host} }}`;
const WHERE = `{{ if $labels.${LABEL.pod} }}${POD}{{ else }}${OTHER}{{ end }}`;

export function findingAlerts(findings: readonly FindingRow[]): Alert[] {
  const active = series(metrics.METRIC_FLOWSPAN_FINDINGS_ACTIVE);
  return findings.map(({ name, event, severity, cause, command, runbook }) => ({
    name: findingAlertName(name),
    expr: `sum by (${FINDING_LABELS.join(", ")}) (${active}{${LABEL.finding}="${name}"}) > 0`,
    forMinutes: 0,
    severity: SEVERITIES[severity],
    summary: `${WHERE}: ${event.brief}`,
    description: `${cause} To look: ${command}`,
    runbook,
  }));
}

/** `connect_refused` → `FlowspanConnectRefused` */
export function findingAlertName(finding: string): string {
  return `Flowspan${finding.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())}`;
}
