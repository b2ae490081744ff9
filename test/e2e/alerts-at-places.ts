/** Alerts of findings on a real Prometheus, each with the pod or node that it is about. */
import type { MonitoredLab } from "./monitored-lab.ts";

export type Labels = Readonly<Record<string, string>>;

/** A pod by its key, or a node by its name. */
export type Where = { readonly pod: string } | { readonly node: string };

export function placeOf({ k8s_pod_name: pod, k8s_node_name: node }: Labels): string {
  return pod ?? node ?? "";
}

/** `FlowspanRetransmits node-1`, or with the pod's name. */
export function alertAt({ lab }: MonitoredLab, alert: string, where: Where): string {
  if ("node" in where) return `${alert} ${where.node}`;
  const pod = lab.description.pods.find(({ key }) => key === where.pod);
  return `${alert} ${pod?.name}`;
}

/** Those of the alerts that fire, sorted. */
export async function firingAt(monitored: MonitoredLab, alerts: readonly string[]): Promise<string[]> {
  const firing = (await monitored.firingLabels()).filter(({ alertname = "" }) => alerts.includes(alertname));
  return firing.map((labels) => `${labels.alertname} ${placeOf(labels)}`).sort();
}
