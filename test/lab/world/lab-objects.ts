/**
 * A lab's description as the Kubernetes objects that an API server would hold for it: what identity reads.
 *
 * Pods come with the status that kubelet writes. A real API server takes status by a second request and makes
 * its own uids: create the pods, read the uids back, and build the lab from `withUids(description, ...)`.
 */

import {
  type ApiObject,
  endpointSliceObject,
  namespaceObject,
  nodeObject,
  podObject,
  serviceObject,
} from "../../kubernetes/kubernetes-objects.ts";
import {
  type ContainerDescription,
  type Description,
  endpoints,
  type PodDescription,
  type Runtime,
  type ServiceDescription,
  uuid,
} from "./describe.ts";

/** In an order in which they can be created. */
export function labObjects(description: Description): ApiObject[] {
  const namespaces = [...description.pods, ...description.services].map((each) => each.namespace);
  return [
    ...[...new Set(namespaces)].map((name) => namespaceObject(name, uuid(`namespace ${name}`))),
    ...description.nodes.map(({ name, ips, podCidrs, zone }) =>
      nodeObject({
        name,
        uid: uuid(`node ${name}`),
        ips: [ips.v4, ips.v6],
        podCidrs: [podCidrs.v4, podCidrs.v6],
        ...(zone !== undefined && { zone, region: "lab" }),
      }),
    ),
    ...description.pods.map((pod) => labPodObject(pod, description.runtime)),
    ...description.services.map(labServiceObject),
    ...description.services.flatMap((service) => [
      sliceObject(description, service, "v4"),
      sliceObject(description, service, "v6"),
    ]),
  ];
}

/** With the status that the kubelet writes once all containers run. */
export function labPodObject(pod: PodDescription, runtime: Runtime): ApiObject {
  const hash = pod.configHash;
  const mirrored = hash !== undefined && {
    "kubernetes.io/config.mirror": hash,
    "kubernetes.io/config.hash": hash,
    "kubernetes.io/config.source": "file",
  };
  const container = ({ name, id }: ContainerDescription) => ({ name, id, image: `lab.example/${name}:1.2.3` });
  const owner = ownerOf(pod);
  return podObject({
    name: pod.name,
    namespace: pod.namespace,
    uid: pod.uid,
    node: pod.node,
    ips: [pod.ips.v4, pod.ips.v6],
    hostNetwork: pod.hostNetwork,
    labels: pod.labels,
    annotations: { ...pod.annotations, ...mirrored },
    ...(owner !== undefined && { owner }),
    containers: pod.containers.filter(({ isInit }) => !isInit).map(container),
    initContainers: pod.containers.filter(({ isInit }) => isInit).map(container),
    runtime,
  });
}

/** The object that the pod itself names; whose that is, only its name tells. */
function ownerOf({ owner: { kind, name, templateHash }, node }: PodDescription): string | undefined {
  switch (kind) {
    case "Deployment":
      return `ReplicaSet/${name}-${templateHash}`;
    case "Node":
      return `Node/${node}`;
    case "none":
      return undefined;
    default:
      return `${kind}/${name}`;
  }
}

function labServiceObject({ name, namespace, uid, clusterIps, port, nodePort }: ServiceDescription): ApiObject {
  return serviceObject({
    name,
    namespace,
    uid,
    clusterIps: [clusterIps.v4, clusterIps.v6],
    ports: [{ port, ...(nodePort !== undefined && { nodePort }) }],
  });
}

function sliceObject(description: Description, service: ServiceDescription, family: "v4" | "v6"): ApiObject {
  return endpointSliceObject({
    name: `${service.name}-${family}`,
    namespace: service.namespace,
    uid: uuid(`slice ${family} ${service.namespace}/${service.name}`),
    service: service.name,
    ports: [service.targetPort],
    endpoints: endpoints(description, service).map((pod) => ({ ip: pod.ips[family], pod: pod.uid })),
  });
}
