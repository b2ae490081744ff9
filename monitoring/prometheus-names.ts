/**
 * Names of the registry → names in Prometheus, for rules and dashboards: no metric is spelled a second time.
 *
 * Labels are those of the documented set-up: the Collector puts Resource attributes on each series
 * (`resource_to_telemetry_conversion`), and Prometheus keeps what the Collector says (`honor_labels`). Nothing here uses
 * `job` and `instance`, which differ by set-up.
 */
import type { MetricDescriptor } from "../agent/generated/semconv.ts";
import * as names from "../agent/generated/semconv.ts";
import { prometheusLabel, prometheusName } from "../semconv/prometheus.ts";

/** A metric's series, as a query names them. */
export function series(metric: MetricDescriptor): string {
  return prometheusName(metric);
}

export const LABEL = {
  cluster: prometheusLabel(names.ATTR_K8S_CLUSTER_NAME),
  k8sNode: prometheusLabel(names.ATTR_K8S_NODE_NAME),
  host: prometheusLabel(names.ATTR_HOST_NAME),
  namespace: prometheusLabel(names.ATTR_K8S_NAMESPACE_NAME),
  pod: prometheusLabel(names.ATTR_K8S_POD_NAME),
  serviceNamespace: prometheusLabel(names.ATTR_SERVICE_NAMESPACE),
  service: prometheusLabel(names.ATTR_SERVICE_NAME),
  peerNamespace: prometheusLabel(names.ATTR_SERVICE_PEER_NAMESPACE),
  peer: prometheusLabel(names.ATTR_SERVICE_PEER_NAME),
  port: prometheusLabel(names.ATTR_SERVER_PORT),
  role: prometheusLabel(names.ATTR_FLOWSPAN_ROLE),
  direction: prometheusLabel(names.ATTR_NETWORK_IO_DIRECTION),
  error: prometheusLabel(names.ATTR_ERROR_TYPE),
  retransmitType: prometheusLabel(names.ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE),
  sendState: prometheusLabel(names.ATTR_FLOWSPAN_TCP_SEND_STATE),
  reason: prometheusLabel(names.ATTR_FLOWSPAN_LOSS_REASON),
  feed: prometheusLabel(names.ATTR_FLOWSPAN_METADATA_FEED),
  finding: prometheusLabel(names.ATTR_FLOWSPAN_FINDING_NAME),
  findingSeverity: prometheusLabel(names.ATTR_FLOWSPAN_FINDING_SEVERITY),
  trouble: prometheusLabel(names.ATTR_FLOWSPAN_PROBE_TROUBLE),
  netns: prometheusLabel(names.ATTR_FLOWSPAN_NETNS),
  zone: prometheusLabel(names.ATTR_CLOUD_AVAILABILITY_ZONE),
  peerZone: prometheusLabel(names.ATTR_FLOWSPAN_PEER_ZONE),
  peerNode: prometheusLabel(names.ATTR_FLOWSPAN_PEER_K8S_NODE_NAME),
  peerKind: prometheusLabel(names.ATTR_FLOWSPAN_PEER_KIND),
} as const;

/** Not a label of any series: rules and dashboards make it, `k8s_node_name` where there is one, else `host_name`. */
export const NODE = "node";
