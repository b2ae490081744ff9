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
export const FINDING_CASES: readonly AlertCase[] = Object.entries(FINDINGS).map(([finding, { severity }]) => {
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
