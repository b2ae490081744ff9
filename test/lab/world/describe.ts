/**
 * What a lab is, as plain data: nodes, pods, Services and links, with every name, id and address settled.
 *
 * `describe()` fills in what a test does not care about, always the same way: the same input gives the same
 * uids, container ids and addresses, so that recordings and expectations stay stable. Nothing here touches
 * the machine; network.ts and cgroups.ts build what is described, lab-objects.ts says it to an API.
 */
import { createHash } from "node:crypto";

export interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

export interface NodeDescription {
  readonly name: string;
  /** 1 for the first; its addresses and device names carry it. */
  readonly index: number;
  readonly ips: Addresses;
  readonly podCidrs: Addresses;
  readonly zone: string | undefined;
}

/** `Node`: a static pod, which its node's kubelet runs from a file. */
export type OwnerKind = "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "Node" | "none";

/** Whose way of naming containers' cgroups and ids. */
export type Runtime = "containerd" | "cri-o" | "docker";

export interface ContainerDescription {
  readonly name: string;
  /** 64 hex digits, as all runtimes make them. */
  readonly id: string;
  /** Runs to its end before the others start. */
  readonly isInit: boolean;
}

export interface PodDescription {
  /** How the lab and its tests name it; unique in the lab. */
  readonly key: string;
  /** `cart-6d4f5c7b8d-x2x9p`: what Kubernetes would have called it. */
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly uid: string;
  /** What the kubelet names a static pod's cgroup after; the API's uid is its mirror's. */
  readonly configHash: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly owner: { readonly kind: OwnerKind; readonly name: string; readonly templateHash: string };
  readonly containers: readonly [ContainerDescription, ...ContainerDescription[]];
  readonly hostNetwork: boolean;
  readonly ips: Addresses;
}

export interface ServiceDescription {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly portName: string;
  readonly port: number;
  readonly targetPort: number;
  readonly nodePort: number | undefined;
  readonly clusterIps: Addresses;
  readonly selector: Readonly<Record<string, string>>;
}

/** A direct link between two nodes, the same in both directions. */
export interface LinkDescription {
  readonly between: readonly [string, string];
  /** One way. */
  readonly delayMs: number;
  /** Probability that a packet is lost, 0 to 1. */
  readonly loss: number;
}

export type CgroupDriver = "systemd" | "cgroupfs";

export interface Description {
  readonly nodes: readonly NodeDescription[];
  readonly pods: readonly PodDescription[];
  readonly services: readonly ServiceDescription[];
  /** Every pair of nodes once. */
  readonly links: readonly LinkDescription[];
  readonly cgroupDriver: CgroupDriver;
  readonly runtime: Runtime;
}

export interface PodInput {
  readonly key: string;
  readonly node?: string;
  readonly namespace?: string;
  /** The workload's name; `key` unless several pods belong to one. */
  readonly owner?: string;
  readonly kind?: OwnerKind;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly containers?: readonly [string, ...string[]];
  readonly initContainers?: readonly string[];
  readonly hostNetwork?: boolean;
}

export interface ServiceInput {
  readonly name: string;
  readonly namespace?: string;
  readonly portName?: string;
  readonly port: number;
  readonly targetPort?: number;
  readonly nodePort?: number;
  /** Label `app` of the pods behind it; the Service's name if left out. */
  readonly app?: string;
}

export interface LabInput {
  /** 1 to 9. */
  readonly nodes?: number;
  readonly pods: readonly PodInput[];
  readonly services?: readonly ServiceInput[];
  readonly links?: readonly {
    readonly between: readonly [string, string];
    readonly delayMs?: number;
    readonly loss?: number;
  }[];
  readonly cgroupDriver?: CgroupDriver;
  readonly runtime?: Runtime;
  /** Zone of each node, in their order. */
  readonly zones?: readonly string[];
  /** Of a node's IPv4 addresses of pods: 24 (the default) has room for 246 of them, 20 for 4,086. */
  readonly podPrefixLength?: 20 | 24;
}

export const POD_CIDRS: Addresses = { v4: "10.244.0.0/16", v6: "fd00:10:244::/48" };
export const SERVICE_CIDRS: Addresses = { v4: "10.96.0.0/16", v6: "fd00:10:96::/112" };

/** Addresses that exist on no node: what a connect to each of them meets (routes of network-plan.ts). */
export const NOWHERE = {
  hostUnreachable: { v4: "198.51.100.1", v6: "2001:db8:1::1" },
  netUnreachable: { v4: "203.0.113.1", v6: "2001:db8:3::1" },
  blackhole: { v4: "192.0.2.1", v6: "2001:db8:2::1" },
} as const;

/** Settles every name and address of a lab. Throws on input that names a node or key wrongly. */
export function describe(input: LabInput): Description {
  const prefixLength = input.podPrefixLength ?? 24;
  const nodes = Array.from({ length: input.nodes ?? 2 }, (_, i) =>
    nodeDescription(i + 1, input.zones?.[i], prefixLength),
  );
  const pods: PodDescription[] = [];
  for (const pod of input.pods) {
    if (pods.some((other) => other.key === pod.key)) throw new Error(`two pods have the key ${pod.key}`);
    const node = nodes.find((each) => each.name === (pod.node ?? "node-1"));
    if (!node) throw new Error(`pod ${pod.key}: no node ${pod.node}`);
    pods.push(podDescription(pod, node, pods));
  }
  return {
    nodes,
    pods,
    services: (input.services ?? []).map(serviceDescription),
    links: linkDescriptions(nodes, input.links ?? []),
    cgroupDriver: input.cgroupDriver ?? "systemd",
    runtime: input.runtime ?? "containerd",
  };
}

/** A client on node-1 and a server on node-2, and Service `server` (port 80 to 8080) in front of it. */
export function twoPods(more: Partial<LabInput> = {}): Description {
  return describe({
    nodes: 2,
    pods: [{ key: "client" }, { key: "server", node: "node-2" }],
    services: [{ name: "server", port: 80, targetPort: 8080 }],
    ...more,
  });
}

/** The demo's cluster: a small shop on three nodes, with a slow link and a link that loses packets. */
export function shop(): Description {
  return describe({
    nodes: 3,
    pods: [
      { key: "frontend-1", owner: "frontend", namespace: "shop" },
      { key: "frontend-2", owner: "frontend", namespace: "shop", node: "node-2" },
      { key: "cart", namespace: "shop", node: "node-2" },
      { key: "catalog", namespace: "shop", node: "node-2" },
      { key: "checkout", namespace: "shop" },
      { key: "payment", namespace: "shop", node: "node-3" },
      { key: "postgres", namespace: "data", node: "node-3", kind: "StatefulSet" },
      { key: "reports", namespace: "data", node: "node-1", kind: "Job" },
      { key: "log-shipper", namespace: "ops", node: "node-1", kind: "DaemonSet", hostNetwork: true },
      { key: "log-store", namespace: "ops", node: "node-3", kind: "StatefulSet" },
    ],
    services: [
      { name: "cart", namespace: "shop", port: 80, targetPort: 8080 },
      { name: "catalog", namespace: "shop", port: 80, targetPort: 8080 },
      { name: "checkout", namespace: "shop", port: 80, targetPort: 8080 },
      { name: "payment", namespace: "shop", port: 443, targetPort: 8443 },
      { name: "postgres", namespace: "data", port: 5432 },
      { name: "log-store", namespace: "ops", port: 3100 },
    ],
    links: [
      { between: ["node-1", "node-3"], delayMs: 40 },
      { between: ["node-1", "node-2"], loss: 0.02 },
    ],
  });
}

/** The pods behind a Service. */
export function endpoints(description: Description, service: ServiceDescription): PodDescription[] {
  const selector = Object.entries(service.selector);
  return description.pods.filter(
    (pod) => pod.namespace === service.namespace && selector.every(([name, value]) => pod.labels[name] === value),
  );
}

/**
 * The same lab under uids that an API server has given: cgroups are named after a pod's uid, and a real API
 * server makes its own.
 */
export function withUids(description: Description, uidOf: (namespace: string, pod: string) => string): Description {
  return { ...description, pods: description.pods.map((pod) => ({ ...pod, uid: uidOf(pod.namespace, pod.name) })) };
}

/**
 * A pod that follows the one of `key`: it gets that one's addresses and net namespace (Lab.follow), and its own
 * name, containers and uid.
 */
export function successor(description: Description, key: string, input: PodInput): PodDescription {
  const before = description.pods.find((pod) => pod.key === key);
  const node = description.nodes.find(({ name }) => name === before?.node);
  if (!before || !node) throw new Error(`the lab has no pod ${key}`);
  const { hostNetwork, ips } = before;
  return { ...podDescription({ ...input, node: node.name }, node, []), hostNetwork, ips };
}

function nodeDescription(index: number, zone: string | undefined, prefixLength: 20 | 24): NodeDescription {
  return {
    name: `node-${index}`,
    index,
    ips: { v4: `172.30.0.${index}`, v6: `fd00:172:30::${index}` },
    podCidrs: { v4: `10.244.${index << (24 - prefixLength)}.0/${prefixLength}`, v6: `fd00:10:244:${index}::/64` },
    zone,
  };
}

function podDescription(input: PodInput, node: NodeDescription, before: readonly PodDescription[]): PodDescription {
  const { key, namespace = "default", kind = "Deployment", hostNetwork = false } = input;
  // A mirror pod is named after its file and its node; its owner is the node.
  const owner = input.owner ?? (kind === "Node" ? `${key}-${node.name}` : key);
  const path = `${namespace}/${key}`;
  const templateHash = kubernetesHash(`${namespace}/${owner}`, 10);
  const number = 10 + before.filter((pod) => pod.node === node.name && !pod.hostNetwork).length;
  const [first, ...others] = input.containers ?? ["main"];
  const container = (name: string, isInit = false): ContainerDescription => {
    return { name, id: digest(`container ${path}/${name}`), isInit };
  };
  const init = (input.initContainers ?? []).map((name) => container(name, true));
  return {
    key,
    name: podName(kind, owner, templateHash, path, before),
    namespace,
    node: node.name,
    uid: uuid(`pod ${path}`),
    configHash: kind === "Node" ? digest(`file ${path}`).slice(0, 32) : undefined,
    labels: { app: owner, ...(kind === "Deployment" && { "pod-template-hash": templateHash }), ...input.labels },
    annotations: input.annotations ?? {},
    owner: { kind, name: owner, templateHash },
    containers: [container(first), ...others.map((name) => container(name)), ...init],
    hostNetwork,
    ips: hostNetwork
      ? node.ips
      : { v4: podAddress(node, number), v6: `fd00:10:244:${node.index}::${number.toString(16)}` },
  };
}

function podAddress({ name, podCidrs }: NodeDescription, number: number): string {
  const [network = "", prefixLength] = podCidrs.v4.split("/");
  if (number >= 2 ** (32 - Number(prefixLength))) throw new Error(`${podCidrs.v4} has no room for all pods of ${name}`);
  const [a, b, c] = network.split(".").map(Number) as [number, number, number, number];
  return `${a}.${b}.${c + (number >> 8)}.${number & 255}`;
}

function podName(
  kind: OwnerKind,
  owner: string,
  hash: string,
  path: string,
  before: readonly PodDescription[],
): string {
  const suffix = kubernetesHash(`suffix ${path}`, 5);
  switch (kind) {
    case "Deployment":
      return `${owner}-${hash}-${suffix}`;
    case "StatefulSet":
      return `${owner}-${before.filter((pod) => pod.owner.name === owner).length}`;
    case "DaemonSet":
    case "Job":
      return `${owner}-${suffix}`;
    case "Node":
    case "none":
      return owner;
  }
}

function serviceDescription(input: ServiceInput, index: number): ServiceDescription {
  const { name, namespace = "default", port, targetPort = port } = input;
  return {
    name,
    namespace,
    uid: uuid(`service ${namespace}/${name}`),
    portName: input.portName ?? "tcp",
    port,
    targetPort,
    nodePort: input.nodePort,
    clusterIps: { v4: `10.96.0.${10 + index}`, v6: `fd00:10:96::${(10 + index).toString(16)}` },
    selector: { app: input.app ?? name },
  };
}

function linkDescriptions(
  nodes: readonly NodeDescription[],
  inputs: NonNullable<LabInput["links"]>,
): LinkDescription[] {
  const links = nodes.flatMap((a, i) => nodes.slice(i + 1).map((b) => [a.name, b.name] as const));
  for (const { between } of inputs)
    if (!links.some((link) => isBetween(link, between))) throw new Error(`no link between ${between.join(" and ")}`);
  return links.map((between) => {
    const input = inputs.find((each) => isBetween(each.between, between));
    return { between, delayMs: input?.delayMs ?? 0, loss: input?.loss ?? 0 };
  });
}

export function isBetween(a: readonly [string, string], b: readonly [string, string]): boolean {
  return (a[0] === b[0] && a[1] === b[1]) || (a[0] === b[1] && a[1] === b[0]);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export function uuid(text: string): string {
  const hex = digest(text);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Kubernetes' alphabet for generated names: no vowels, no look-alikes (apimachinery util/rand). */
function kubernetesHash(text: string, length: number): string {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  const bytes = createHash("sha256").update(text).digest();
  return Array.from({ length }, (_, i) => alphabet[(bytes[i] ?? 0) % alphabet.length]).join("");
}
