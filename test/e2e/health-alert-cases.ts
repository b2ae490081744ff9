/**
 * Stories of the alerts on flowspan's own health, and of those that have to hold although a scrape fails in their middle.
 */
import { AGE, AGENT, type AlertCase, CLUSTER, withFailedScrape } from "./alert-story.ts";

/** The next agent of the same node: in a pod it has another host name. */
const NEXT_AGENT = AGENT.replace("x7k2p", "b9d4q");
const DIRECTORY = `service_name="flowspan-directory",host_name="flowspan-directory-0",${CLUSTER}`;
const NAMES_AGE = `flowspan_metadata_age_seconds{${AGENT},flowspan_metadata_feed="directory"}`;
const NODE = { node: "node-1", k8s_cluster_name: "lab" };

const OWN_HEALTH: readonly AlertCase[] = [
  {
    alert: "FlowspanAbsent",
    series: {
      [AGE]: [
        [0.5, 5],
        ["_", 20],
        [0.5, 30],
      ],
    },
    // Five minutes are Prometheus' own, the hour of FlowspanAgentDown has not begun to count as such.
    fires: 20,
    labels: {},
    quiet: [4, 30],
  },
  {
    alert: "FlowspanLabelsMissing",
    series: {
      'flowspan_exchange_age_seconds{job="flowspan",instance="a"}': [
        ["_", 3],
        [0.5, 20],
      ],
      'flowspan_exchange_age_seconds{job="flowspan",instance="b"}': [
        ["_", 3],
        [0.5, 20],
      ],
    },
    fires: 20,
    labels: {},
    quiet: [2, 40],
  },
  {
    alert: "FlowspanAgentDown",
    series: {
      [AGE]: [[0.5, 10]],
      [`flowspan_exchange_age_seconds{${NEXT_AGENT}}`]: [
        ["_", 40],
        [0.5, 30],
      ],
      [`flowspan_exchange_age_seconds{${AGENT.replaceAll("node-1", "node-2")}}`]: [[0.5, 120]],
    },
    fires: 30,
    labels: NODE,
    quiet: [9, 15, 45],
  },
  {
    alert: "FlowspanProbeDown",
    series: {
      [AGE]: [
        [0.5, 5],
        [100, 5],
        [400, 5],
        [0.5, 30],
      ],
    },
    fires: 13,
    labels: NODE,
    quiet: [4, 9, 20],
  },
  {
    alert: "FlowspanProbeTrouble",
    series: {
      [`flowspan_probe_troubles_ratio{${AGENT},flowspan_probe_trouble="pins"}`]: [
        [0, 5],
        [1, 15],
        [0, 30],
      ],
      [`flowspan_probe_troubles_ratio{${AGENT},flowspan_probe_trouble="hooks"}`]: [[0, 60]],
    },
    fires: 15,
    labels: { ...NODE, flowspan_probe_trouble: "pins" },
    quiet: [4, 8, 30],
  },
  {
    alert: "FlowspanBlind",
    series: {
      [`flowspan_coverage_connections_ratio{${AGENT},flowspan_netns="4026532001"}`]: [
        [1, 5],
        [0.3, 30],
        [1, 9],
      ],
    },
    fires: 30,
    labels: { ...NODE, flowspan_netns: "4026532001" },
    quiet: [4, 15, 40],
  },
  {
    alert: "FlowspanCoverageLow",
    series: {
      [`flowspan_coverage_connections_ratio{${AGENT},flowspan_netns="4026532001"}`]: [
        [1, 5],
        [0.7, 30],
        [1, 9],
      ],
    },
    fires: 30,
    labels: { ...NODE, flowspan_netns: "4026532001" },
    quiet: [4, 15, 40],
  },
  {
    alert: "FlowspanCoverageLow",
    series: {
      [`flowspan_coverage_connections_ratio{${AGENT},flowspan_netns="4026532001"}`]: [[1, 60]],
      [`flowspan_coverage_segments_ratio{${AGENT},flowspan_netns="4026532001"}`]: [
        [1, 5],
        [0.2, 30],
        [1, 9],
      ],
    },
    fires: 30,
    labels: { ...NODE, flowspan_netns: "4026532001" },
    quiet: [4, 15, 40],
  },
  {
    // The counter of the kernel goes on where another agent reads it; that alone is no loss.
    alert: "FlowspanFactsLost",
    series: {
      [`flowspan_losses_total{${AGENT},flowspan_loss_reason="storage_failed"}`]: [
        [0, 15],
        [23, 30],
      ],
      [`flowspan_losses_total{${NEXT_AGENT},flowspan_loss_reason="storage_failed"}`]: [
        ["_", 43],
        [23, 30],
      ],
      [`flowspan_losses_total{${AGENT},flowspan_loss_reason="counter_contended"}`]: [
        [0, 15],
        [23, 30],
      ],
    },
    fires: 16,
    labels: { ...NODE, flowspan_loss_reason: "storage_failed" },
    quiet: [14, 30, 45, 50],
  },
  {
    // A reason whose first value is more than 0 counts, too.
    alert: "FlowspanFactsLost",
    series: {
      [`flowspan_losses_total{${AGENT},flowspan_loss_reason="points_rejected"}`]: [
        ["_", 15],
        [23, 60],
      ],
    },
    fires: 16,
    labels: { ...NODE, flowspan_loss_reason: "points_rejected" },
    quiet: [14, 30],
  },
  {
    alert: "FlowspanDetailLost",
    series: {
      [`flowspan_losses_total{${AGENT},flowspan_loss_reason="edge_table_full_detail"}`]: [
        [0, 15],
        [23, 60],
      ],
    },
    fires: 16,
    labels: { ...NODE, flowspan_loss_reason: "edge_table_full_detail" },
    quiet: [14, 30],
  },
  {
    alert: "FlowspanSpansDropped",
    series: {
      [`flowspan_spans_observed_total{${AGENT}}`]: [
        [1000, 15],
        [2000, 60],
      ],
      [`flowspan_spans_dropped_total{${AGENT},flowspan_loss_reason="span_gave_up"}`]: [
        ["_", 15],
        [101, 60],
      ],
    },
    fires: 22,
    labels: NODE,
    quiet: [14, 40],
  },
  {
    alert: "FlowspanEdgeTableFull",
    series: {
      [`flowspan_edges_usage{${AGENT}}`]: [
        [100, 5],
        [60_000, 15],
        [100, 30],
      ],
      [`flowspan_edges_limit{${AGENT}}`]: [[65_536, 60]],
    },
    fires: 15,
    labels: NODE,
    quiet: [4, 8, 25],
  },
  {
    alert: "FlowspanCgroupTableFull",
    series: {
      [`flowspan_cgroups_usage{${AGENT}}`]: [
        [100, 5],
        [4000, 15],
        [100, 30],
      ],
    },
    fires: 15,
    labels: NODE,
    quiet: [4, 8, 25],
  },
  {
    alert: "FlowspanMemoryNearLimit",
    series: {
      [`process_memory_usage_bytes{${AGENT}}`]: [
        [100e6, 5],
        [250e6, 20],
        [100e6, 30],
      ],
      [`flowspan_memory_limit_bytes{${AGENT}}`]: [[268_435_456, 60]],
    },
    fires: 20,
    labels: { k8s_cluster_name: "lab", k8s_node_name: "node-1", host_name: "flowspan-x7k2p", service_name: "flowspan" },
    quiet: [4, 14, 30],
  },
  {
    alert: "FlowspanProbeMemoryNearLimit",
    series: {
      [`flowspan_probe_memory_charged_bytes{${AGENT}}`]: [
        [100e6, 5],
        [250e6, 20],
        [100e6, 30],
      ],
      [`flowspan_probe_memory_limit_bytes{${AGENT}}`]: [[268_435_456, 60]],
    },
    fires: 20,
    labels: { k8s_cluster_name: "lab", k8s_node_name: "node-1", host_name: "flowspan-x7k2p" },
    quiet: [4, 14, 30],
  },
  {
    alert: "FlowspanMetadataStale",
    series: {
      [`flowspan_metadata_age_seconds{${AGENT},flowspan_metadata_feed="pods"}`]: [
        [30, 5],
        [400, 10],
        [30, 30],
      ],
    },
    fires: 10,
    labels: { ...NODE, service_name: "flowspan", flowspan_metadata_feed: "pods" },
    quiet: [4, 20],
  },
  {
    alert: "FlowspanExportsFailing",
    series: {
      [`flowspan_export_requests_total{${AGENT}}`]: [
        [1000, 15],
        [1040, 60],
      ],
      [`flowspan_export_requests_total{${AGENT},error_type="RESOURCE_EXHAUSTED"}`]: [
        ["_", 15],
        [23, 60],
      ],
    },
    fires: 22,
    labels: NODE,
    quiet: [14, 18, 40],
  },
  {
    alert: "FlowspanDirectoryDown",
    series: {
      [NAMES_AGE]: [[30, 60]],
      [`flowspan_directory_agents{${DIRECTORY}}`]: [
        [1, 5],
        ["_", 20],
        [1, 30],
      ],
    },
    fires: 20,
    labels: {},
    quiet: [4, 12, 30],
  },
  {
    alert: "FlowspanDirectoryAgentsMissing",
    series: {
      [NAMES_AGE]: [[30, 60]],
      [`flowspan_directory_agents{${DIRECTORY}}`]: [
        [1, 5],
        [0, 20],
        [1, 30],
      ],
    },
    fires: 20,
    labels: {},
    quiet: [4, 12, 30],
  },
  {
    alert: "FlowspanDirectoryRefuses",
    series: {
      [`flowspan_directory_refusals_total{${DIRECTORY},error_type="UNAUTHENTICATED"}`]: [
        ["_", 15],
        [23, 60],
      ],
    },
    fires: 16,
    labels: { k8s_cluster_name: "lab", host_name: "flowspan-directory-0", error_type: "UNAUTHENTICATED" },
    quiet: [14, 30],
  },
];

/** A minute before the alert fires first: begun anew, it would wait for longer than its story has it fire. */
const FAILED_SCRAPES: readonly (readonly [alert: string, minute: number, fires: number])[] = [
  ["FlowspanLabelsMissing", 12, 14],
  ["FlowspanAgentDown", 18, 21],
  ["FlowspanProbeTrouble", 9, 11],
  ["FlowspanBlind", 18, 21],
  ["FlowspanCoverageLow", 18, 21],
  ["FlowspanEdgeTableFull", 9, 11],
  ["FlowspanCgroupTableFull", 9, 11],
  ["FlowspanMemoryNearLimit", 13, 16],
  ["FlowspanProbeMemoryNearLimit", 13, 16],
  ["FlowspanDirectoryDown", 13, 16],
  ["FlowspanDirectoryAgentsMissing", 13, 16],
];

const AFTER_A_FAILED_SCRAPE = FAILED_SCRAPES.map(([alert, minute, fires]) => {
  const story = OWN_HEALTH.find((each) => each.alert === alert);
  if (story === undefined) throw new Error(`${alert} has no story`);
  return withFailedScrape({ ...story, fires }, minute);
});

export const HEALTH_CASES: readonly AlertCase[] = [...OWN_HEALTH, ...AFTER_A_FAILED_SCRAPE];
