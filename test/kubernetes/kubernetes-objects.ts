/**
 * Kubernetes objects as an API server has them, from the little that a test or a lab wants to say.
 *
 * Plain JSON in the API's own field names: the fake serves them as they are, a real API server takes
 * them by POST (its status by a second request). Defaults are valid for a real server.
 */
import { randomUUID } from "node:crypto";

export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: boolean;
}

export interface PodDescription {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly node?: string;
  readonly ips?: readonly string[];
  readonly hostNetwork?: boolean;
  readonly phase?: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** `Deployment/cart`, `ReplicaSet/cart-7d9f`, `StatefulSet/db`, `Job/migrate`, … */
  readonly owner?: string;
  readonly containers?: readonly ContainerDescription[];
  readonly initContainers?: readonly ContainerDescription[];
  /** Its name as it stands in container ids, `cri-o://…`; containerd if left out. */
  readonly runtime?: string;
  readonly created?: string;
}

export interface ContainerDescription {
  readonly name: string;
  readonly image?: string;
  /** Of the container that runs; absent until it was started. */
  readonly id?: string;
  /** Of the one before it, after a restart. */
  readonly lastId?: string;
}

/** The suffix that a Deployment's ReplicaSet has, as all objects built here have it. */
export const TEMPLATE_HASH = "7d9f8b6c54";

export function podObject(pod: PodDescription): ApiObject {
  const { containers = [{ name: "main" }], initContainers = [], ips = [] } = pod;
  const [ownerKind = "", ownerName = ""] = pod.owner?.split("/") ?? [];
  const deployed = ownerKind === "Deployment";
  const owner = deployed ? reference("ReplicaSet", `${ownerName}-${TEMPLATE_HASH}`) : reference(ownerKind, ownerName);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod.name,
      namespace: pod.namespace ?? "default",
      ...(pod.uid === undefined ? {} : { uid: pod.uid }),
      ...(pod.created === undefined ? {} : { creationTimestamp: pod.created }),
      labels: { ...(deployed ? { "pod-template-hash": TEMPLATE_HASH } : {}), ...pod.labels },
      annotations: pod.annotations ?? {},
      ...(pod.owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    spec: {
      ...(pod.node === undefined ? {} : { nodeName: pod.node }),
      ...(pod.hostNetwork ? { hostNetwork: true } : {}),
      ...(initContainers.length === 0 ? {} : { initContainers: initContainers.map(containerSpec) }),
      containers: containers.map(containerSpec),
    },
    status: {
      phase: pod.phase ?? "Running",
      ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
      initContainerStatuses: initContainers.map((each) => containerStatus(each, pod.runtime)),
      containerStatuses: containers.map((each) => containerStatus(each, pod.runtime)),
    },
  };
}

function reference(kind: string, name: string): OwnerReference {
  const apiVersion = kind === "Job" ? "batch/v1" : kind === "Node" ? "v1" : "apps/v1";
  return { apiVersion, kind, name, uid: randomUUID(), controller: true };
}

function containerSpec({ name, image = "registry.example/app:1.2.3" }: ContainerDescription) {
  return { name, image };
}

function containerStatus(container: ContainerDescription, runtime = "containerd") {
  const { name, image = "registry.example/app:1.2.3", id, lastId } = container;
  return {
    name,
    image,
    imageID: "",
    ready: id !== undefined,
    restartCount: lastId === undefined ? 0 : 1,
    ...(id === undefined ? {} : { containerID: `${runtime}://${id}` }),
    ...(lastId === undefined
      ? {}
      : { lastState: { terminated: { exitCode: 1, containerID: `${runtime}://${lastId}` } } }),
  };
}

export interface ServiceDescription {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  /** Empty: headless. */
  readonly clusterIps?: readonly string[];
  readonly externalIps?: readonly string[];
  readonly loadBalancerIps?: readonly string[];
  readonly ports?: readonly { readonly port: number; readonly nodePort?: number; readonly protocol?: string }[];
}

export function serviceObject(service: ServiceDescription): ApiObject {
  const { clusterIps = [], ports = [{ port: 80 }] } = service;
  const noded = ports.some(({ nodePort }) => nodePort !== undefined);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: service.name,
      namespace: service.namespace ?? "default",
      ...(service.uid === undefined ? {} : { uid: service.uid }),
    },
    spec: {
      type: noded ? "NodePort" : "ClusterIP",
      clusterIP: clusterIps[0] ?? "None",
      clusterIPs: clusterIps.length === 0 ? ["None"] : clusterIps,
      ...(service.externalIps === undefined ? {} : { externalIPs: service.externalIps }),
      ports: ports.map((port, i) => ({ name: `port-${i}`, protocol: "TCP", ...port })),
    },
    status: { loadBalancer: { ingress: (service.loadBalancerIps ?? []).map((ip) => ({ ip })) } },
  };
}

export interface EndpointSliceDescription {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly service: string;
  readonly ports?: readonly number[];
  /** `pod` is the uid of the pod behind the address; absent: written by hand. */
  readonly endpoints: readonly { readonly ip: string; readonly pod?: string }[];
}

export function endpointSliceObject(slice: EndpointSliceDescription): ApiObject {
  const namespace = slice.namespace ?? "default";
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: slice.name,
      namespace,
      ...(slice.uid === undefined ? {} : { uid: slice.uid }),
      labels: { "kubernetes.io/service-name": slice.service },
    },
    addressType: slice.endpoints.some(({ ip }) => ip.includes(":")) ? "IPv6" : "IPv4",
    ports: (slice.ports ?? [80]).map((port, i) => ({ name: `port-${i}`, protocol: "TCP", port })),
    endpoints: slice.endpoints.map(({ ip, pod }) => ({
      addresses: [ip],
      conditions: { ready: true },
      ...(pod === undefined ? {} : { targetRef: { kind: "Pod", namespace, name: pod, uid: pod } }),
    })),
  };
}

export interface NodeDescription {
  readonly name: string;
  readonly uid?: string;
  readonly ips: readonly string[];
  readonly podCidrs?: readonly string[];
  readonly zone?: string;
  readonly region?: string;
}

export function nodeObject(node: NodeDescription): ApiObject {
  const [podCidr] = node.podCidrs ?? [];
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: node.name,
      ...(node.uid === undefined ? {} : { uid: node.uid }),
      labels: {
        ...(node.zone === undefined ? {} : { "topology.kubernetes.io/zone": node.zone }),
        ...(node.region === undefined ? {} : { "topology.kubernetes.io/region": node.region }),
      },
    },
    spec: podCidr === undefined ? {} : { podCIDR: podCidr, podCIDRs: node.podCidrs },
    status: {
      addresses: [
        ...node.ips.map((address) => ({ type: "InternalIP", address })),
        { type: "Hostname", address: node.name },
      ],
    },
  };
}

export function namespaceObject(name: string, uid?: string): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, ...(uid === undefined ? {} : { uid }) },
    status: { phase: "Active" },
  };
}
