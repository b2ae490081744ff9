/** For each finding a story of its alert. */
import { FINDINGS } from "../../agent/generated/findings.ts";
import { findingAlertName } from "../../monitoring/alerts/finding-alerts.ts";
import type { AlertCase } from "./alert-story.ts";

const POD = {
  k8s_namespace_name: "shop",
  k8s_pod_name: "cart-6d4f5c7b8d-x2x9p",
  service_name: "cart",
  k8s_node_name: "node-1",
};

/** The agent says 0 once when the last finding of a name has ended; then its series is over. */
const EACH: readonly AlertCase[] = Object.entries(FINDINGS).map(([finding, { severity }]) => {
  const labels = { ...POD, flowspan_finding_name: finding, flowspan_finding_severity: severity };
  const text = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return {
    alert: findingAlertName(finding),
    series: {
      [`flowspan_findings_active{${text.join(",")}}`]: [
        ["_", 5],
        [2, 10],
        [0, 1],
      ],
    },
    fires: 6,
    labels: POD,
    quiet: [4, 16, 30],
  };
});

/** A rule of node-2 drops packets to its pods: what the senders on node-1 see of it does not alert beside it, and what is lost elsewhere does. */
const DROPPED_ELSEWHERE = ["retransmits", "connect_unanswered"].map((symptom): AlertCase => {
  const active = (name: string, node: string, peer?: string) =>
    `flowspan_findings_active{k8s_node_name="${node}",flowspan_finding_name="${name}"${peer === undefined ? "" : `,flowspan_peer_k8s_node_name="${peer}"`}}`;
  const from = (minute: number, minutes: number) => [["_", minute] as const, [1, minutes] as const, [0, 1] as const];
  return {
    alert: findingAlertName("packets_dropped"),
    series: {
      [active("packets_dropped", "node-2")]: from(5, 10),
      [active(symptom, "node-1", "node-2")]: from(5, 11),
    },
    fires: 6,
    labels: { k8s_node_name: "node-2" },
    quiet: [4, 18, 30],
  };
});

const ELSEWHERE = ["node-3", undefined].map((peer): AlertCase => {
  const towards = peer === undefined ? "" : `,flowspan_peer_k8s_node_name="${peer}"`;
  return {
    alert: findingAlertName("retransmits"),
    series: {
      [`flowspan_findings_active{k8s_node_name="node-1",flowspan_finding_name="retransmits"${towards}}`]: [
        ["_", 5],
        [1, 10],
        [0, 1],
      ],
      // Over for more than two minutes.
      'flowspan_findings_active{k8s_node_name="node-2",flowspan_finding_name="packets_dropped"}': [
        [1, 1],
        [0, 30],
      ],
    },
    fires: 6,
    labels: { k8s_node_name: "node-1" },
    quiet: [4, 16, 30],
  };
});

export const FINDING_CASES: readonly AlertCase[] = [...EACH, ...DROPPED_ELSEWHERE, ...ELSEWHERE];
