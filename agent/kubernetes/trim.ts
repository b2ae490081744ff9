/**
 * An API object as it came → the little of it that names need.
 *
 * The answer is read as `unknown`: whatever a server sends gives a value or undefined, never an error, and
 * nothing of the object is kept. Field names are the API's; all else is agent/model/cluster-objects.ts.
 */
import { ATTR_K8S_POD_ANNOTATION, ATTR_K8S_POD_LABEL } from "@opentelemetry/semantic-conventions/incubating";
import type {
  ContainerDetail,
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  PodDetail,
  Service,
} from "../model/cluster-objects.ts";
import { canonicalAddresses } from "../shared/prefix.ts";
import { annotatedAttributes, ownerAttributes, type PodMetadata, serviceOf, versionOf } from "./service-rule.ts";

export interface TrimOptions {
  /** The rule's opt-in: `app.kubernetes.io/*` labels decide names too. */
  readonly wellKnownLabels: boolean;
  /** Labels and annotations to take over as attributes. */
  readonly podLabels: readonly string[];
  readonly podAnnotations: readonly string[];
}

const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
const SERVICE_LABEL = "kubernetes.io/service-name";
const ZONE_LABEL = "topology.kubernetes.io/zone";
const REGION_LABEL = "topology.kubernetes.io/region";

/** @param local whether to keep what only the own node's pods need */
export function trimPod(object: unknown, local: boolean, options: TrimOptions): Pod | undefined {
  const metadata = record(field(object, "metadata"));
  const spec = field(object, "spec");
  const status = field(object, "status");
  const uid = text(metadata.uid);
  const about = podMetadata(metadata);
  if (uid === "" || about.name === "") return undefined;
  const phase = text(field(status, "phase"));
  const pod: Pod = {
    uid,
    name: about.name,
    namespace: about.namespace,
    node: text(field(spec, "nodeName")),
    hostNetwork: field(spec, "hostNetwork") === true,
    addresses: canonicalAddresses([
      ...list(field(status, "podIPs")).map((ip) => field(ip, "ip")),
      field(status, "podIP"),
    ]),
    ended: phase === "Succeeded" || phase === "Failed",
    ...(text(metadata.deletionTimestamp) === "" ? {} : { terminating: true }),
    createdMs: about.createdMs,
    service: serviceOf(about, options.wellKnownLabels),
  };
  return local ? { ...pod, detail: podDetail(about, spec, status, options) } : pod;
}

function podMetadata(metadata: Readonly<Record<string, unknown>>): PodMetadata {
  const controller = list(metadata.ownerReferences).find((owner) => field(owner, "controller") === true);
  return {
    name: text(metadata.name),
    namespace: text(metadata.namespace),
    labels: texts(metadata.labels),
    annotations: texts(metadata.annotations),
    controller:
      controller === undefined
        ? undefined
        : { kind: text(field(controller, "kind")), name: text(field(controller, "name")) },
    createdMs: time(metadata.creationTimestamp),
  };
}

function podDetail(about: PodMetadata, spec: unknown, status: unknown, options: TrimOptions): PodDetail {
  const cgroupUid = about.annotations[MIRROR_ANNOTATION];
  return {
    ...(cgroupUid ? { cgroupUid } : {}),
    owners: ownerAttributes(about),
    annotated: annotatedAttributes(about.annotations),
    selected: Object.fromEntries([
      ...chosen(about.labels, options.podLabels, ATTR_K8S_POD_LABEL),
      ...chosen(about.annotations, options.podAnnotations, ATTR_K8S_POD_ANNOTATION),
    ]),
    containers: containers(about, spec, status, options),
  };
}

function chosen(
  values: Readonly<Record<string, string>>,
  keys: readonly string[],
  attribute: (key: string) => string,
): [string, string][] {
  return keys.flatMap((key) => {
    const value = values[key];
    return value === undefined ? [] : [[attribute(key), value] as [string, string]];
  });
}

/** All containers, init and ephemeral ones too: any of them can open a connection. */
function containers(about: PodMetadata, spec: unknown, status: unknown, options: TrimOptions): ContainerDetail[] {
  const ids = new Map<string, string[]>();
  for (const kind of ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]) {
    for (const one of list(field(status, kind))) ids.set(text(field(one, "name")), containerIds(one));
  }
  return ["initContainers", "containers", "ephemeralContainers"]
    .flatMap((kind) => list(field(spec, kind)))
    .map((container) => {
      const name = text(field(container, "name"));
      const version = versionOf(about, text(field(container, "image")), options.wellKnownLabels);
      return { name, ...(version === undefined ? {} : { version }), ids: ids.get(name) ?? [] };
    });
}

/** `containerd://ID` of the container that runs, or ran last, and of the one before it. */
function containerIds(status: unknown): string[] {
  const found = [
    field(status, "containerID"),
    field(field(field(status, "state"), "terminated"), "containerID"),
    field(field(field(status, "lastState"), "terminated"), "containerID"),
  ].map((id) => text(id).replace(/^[a-z0-9-]+:\/\//, ""));
  return [...new Set(found.filter((id) => id !== ""))];
}

/** A headless Service has the clusterIP "None": no address. */
export function trimService(object: unknown): Service | undefined {
  const metadata = record(field(object, "metadata"));
  const spec = field(object, "spec");
  const uid = text(metadata.uid);
  if (uid === "" || text(metadata.name) === "") return undefined;
  // The probe counts TCP: a DNS Service has one port for each protocol.
  const ports = list(field(spec, "ports")).filter((port) => field(port, "protocol") !== "UDP");
  const ingress = list(field(field(field(object, "status"), "loadBalancer"), "ingress"));
  return {
    uid,
    name: text(metadata.name),
    namespace: text(metadata.namespace),
    clusterAddresses: canonicalAddresses([...list(field(spec, "clusterIPs")), field(spec, "clusterIP")]),
    externalAddresses: canonicalAddresses([
      ...list(field(spec, "externalIPs")),
      ...ingress.map((one) => field(one, "ip")),
    ]),
    ports: ports.map((port) => number(field(port, "port"))).filter((port) => port > 0),
    nodePorts: ports.map((port) => number(field(port, "nodePort"))).filter((port) => port > 0),
    createdMs: time(metadata.creationTimestamp),
  };
}

export function trimEndpointSlice(object: unknown): EndpointSlice | undefined {
  const metadata = record(field(object, "metadata"));
  const uid = text(metadata.uid);
  if (uid === "") return undefined;
  return {
    uid,
    namespace: text(metadata.namespace),
    service: texts(metadata.labels)[SERVICE_LABEL] ?? "",
    ports: list(field(object, "ports"))
      .map((port) => number(field(port, "port")))
      .filter((port) => port > 0),
    endpoints: list(field(object, "endpoints")).map((endpoint) => {
      const target = field(endpoint, "targetRef");
      const podUid = field(target, "kind") === "Pod" ? text(field(target, "uid")) : "";
      return { addresses: canonicalAddresses(list(field(endpoint, "addresses"))), podUid };
    }),
  };
}

export function trimNode(object: unknown): Node | undefined {
  const metadata = record(field(object, "metadata"));
  const spec = field(object, "spec");
  const labels = texts(metadata.labels);
  const uid = text(metadata.uid);
  if (uid === "" || text(metadata.name) === "") return undefined;
  const addresses = list(field(field(object, "status"), "addresses")).map((one) => field(one, "address"));
  return {
    uid,
    name: text(metadata.name),
    addresses: canonicalAddresses(addresses),
    podCidrs: [...new Set([...list(field(spec, "podCIDRs")), field(spec, "podCIDR")].map(text))].filter(
      (cidr) => cidr !== "",
    ),
    zone: labels[ZONE_LABEL] ?? "",
    region: labels[REGION_LABEL] ?? "",
    createdMs: time(metadata.creationTimestamp),
  };
}

export function trimNamespace(object: unknown): Namespace | undefined {
  const metadata = record(field(object, "metadata"));
  const uid = text(metadata.uid);
  return uid === "" ? undefined : { uid, name: text(metadata.name) };
}

/** A field of what may not be an object. */
export function field(value: unknown, name: string): unknown {
  return record(value)[name];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) ? value : 0;
}

function texts(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

/** Unix milliseconds; 0 where it is no time. */
function time(value: unknown): number {
  const parsed = Date.parse(text(value));
  return Number.isNaN(parsed) ? 0 : parsed;
}
