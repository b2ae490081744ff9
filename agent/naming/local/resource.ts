/**
 * What is known of a local end → its Resource: the attributes that the pod's own SDK would send.
 *
 * In a pod: the names of the pod, its owners, node and cluster, and the service attributes by OTel's
 * Kubernetes rule (service-rule.ts); the pod's annotations are stronger than all of them. Elsewhere: the
 * container's id, the systemd unit, the host's name. What is not known is left out, never guessed.
 */
import { createHash } from "node:crypto";
import {
  ATTR_CLOUD_AVAILABILITY_ZONE,
  ATTR_CLOUD_REGION,
  ATTR_CONTAINER_ID,
  ATTR_FLOWSPAN_SYSTEMD_UNIT,
  ATTR_HOST_NAME,
  ATTR_K8S_CLUSTER_NAME,
  ATTR_K8S_CLUSTER_UID,
  ATTR_K8S_CONTAINER_NAME,
  ATTR_K8S_NAMESPACE_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_K8S_POD_UID,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
  ATTR_SERVICE_VERSION,
} from "../../generated/semconv.ts";
import type { Attributes } from "../../model/attribute.ts";
import type { ContainerDetail, Pod } from "../../model/cluster-objects.ts";
import type { LocalEnd } from "../../model/names.ts";
import type { CgroupPlace } from "./cgroup.ts";

/** What all Resources of one agent have in common. Empty or absent: not known. */
export interface NodeContext {
  readonly hostName: string;
  readonly nodeName: string | undefined;
  readonly clusterName: string | undefined;
  readonly clusterUid: string | undefined;
  readonly zone: string | undefined;
  readonly region: string | undefined;
}

/**
 * @param container undefined where it is not known which of the pod's containers it is
 * @param containerId the runtime's id, from the cgroup's name
 */
export function podEnd(
  pod: Pod,
  container: ContainerDetail | undefined,
  containerId: string | undefined,
  context: NodeContext,
): LocalEnd {
  const instance = container && `${pod.namespace}.${pod.name}.${container.name}`;
  const resource = known({
    ...clusterAttributes(context),
    [ATTR_K8S_NAMESPACE_NAME]: pod.namespace,
    [ATTR_K8S_POD_NAME]: pod.name,
    [ATTR_K8S_POD_UID]: pod.uid,
    [ATTR_K8S_CONTAINER_NAME]: container?.name,
    [ATTR_CONTAINER_ID]: containerId,
    ...pod.detail?.owners,
    [ATTR_SERVICE_NAME]: pod.service.name,
    [ATTR_SERVICE_NAMESPACE]: pod.service.namespace,
    [ATTR_SERVICE_INSTANCE_ID]: instance,
    [ATTR_SERVICE_VERSION]: container?.version,
    ...pod.detail?.selected,
    ...pod.detail?.annotated,
  });
  return end(resource, container ? `${pod.namespace}/${pod.name}/${container.name}` : `${pod.namespace}/${pod.name}`);
}

/** A local end that no pod is known for. */
export function cgroupEnd(place: CgroupPlace, context: NodeContext): LocalEnd {
  const host = { ...clusterAttributes(context), [ATTR_HOST_NAME]: context.hostName };
  switch (place.kind) {
    case "container":
      return end(
        known({ ...host, [ATTR_CONTAINER_ID]: place.containerId, [ATTR_K8S_POD_UID]: place.podUid }),
        `${place.runtime ?? "container"}/${place.containerId.slice(0, 12)}`,
      );
    case "pod":
      return end(known({ ...host, [ATTR_K8S_POD_UID]: place.podUid }), `pod/${place.podUid}`);
    case "unit": {
      // Scopes are numbered by login or machine: as names of services they would never end.
      const service = place.unit.endsWith(".service") ? place.unit.slice(0, -".service".length) : undefined;
      return end(
        known({ ...host, [ATTR_SERVICE_NAME]: service, [ATTR_FLOWSPAN_SYSTEMD_UNIT]: place.unit }),
        place.unit,
      );
    }
    case "host":
    case "unknown":
      return end(known(host), "host");
  }
}

function clusterAttributes(context: NodeContext): Record<string, string | undefined> {
  return {
    [ATTR_K8S_CLUSTER_NAME]: context.clusterName,
    [ATTR_K8S_CLUSTER_UID]: context.clusterUid,
    [ATTR_K8S_NODE_NAME]: context.nodeName,
    [ATTR_CLOUD_AVAILABILITY_ZONE]: context.zone,
    [ATTR_CLOUD_REGION]: context.region,
  };
}

function known(attributes: Readonly<Record<string, Attributes[string] | undefined>>): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).filter(
      (entry): entry is [string, Attributes[string]] => entry[1] !== undefined && entry[1] !== "",
    ),
  );
}

/** The id is made from the attributes alone: equal after a restart, different once one of them changes. */
function end(resource: Attributes, label: string): LocalEnd {
  const text = JSON.stringify(Object.entries(resource).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { id: createHash("sha256").update(text).digest("base64url").slice(0, 22), resource, label };
}
