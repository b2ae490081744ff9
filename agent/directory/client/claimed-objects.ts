/**
 * Answers of a directory → the objects that they speak of, as a watch of the cluster would tell of them.
 *
 * Pure. Times are CLOCK_BOOTTIME milliseconds; an answer's ages count back from when it came.
 */
import type { ClusterUpsert, EndpointSlice, Node, Pod, Service } from "../../model/cluster-objects.ts";
import type { Answer, Interval, Key, NodeMessage, PodMessage, ServiceMessage } from "../protocol.ts";

/** What an answer reports of an object. */
export interface Claim extends Pick<ClusterUpsert, "feed" | "object"> {
  /** Since when the object is what the answer reports. */
  readonly atMs: number;
  /** The address that it owns by this answer; undefined where it is only mentioned. */
  readonly owns: string | undefined;
}

export function textOf({ address, port }: Key): string {
  return `${address} ${port}`;
}

export function ownerUid({ pod, service, node }: Interval): string {
  return (pod ?? service ?? node)?.uid ?? "";
}

/** The owners as they are now, after the nodes that they or the address lie on: what comes twice counts as the owner. */
export function ownerClaims({ key, intervals, range }: Answer, nowMs: number): (readonly [string, Claim])[] {
  const current = intervals.filter(({ untilAgeMs }) => untilAgeMs === undefined);
  const owners = current.map((each) => ownerClaim(each, key.address, nowMs)).filter((claim) => claim !== undefined);
  const nodes = [...current.map(({ pod }) => pod?.node), range].filter(
    (node) => node != null && node.uid !== "",
  ) as NodeMessage[];
  return [...nodes.map((node) => nodeClaim(node, undefined, nowMs)), ...owners];
}

export function portClaims(
  { key, atPort, atPortByEndpoint = false }: Answer,
  nowMs: number,
): (readonly [string, Claim])[] {
  if (!atPort) return [];
  return [atPortClaim(key, atPort, !atPortByEndpoint, nowMs), serviceClaim(atPort, undefined, nowMs, nowMs)];
}

export function ownerClaim({ fromAgeMs, pod, service, node }: Interval, address: string, nowMs: number) {
  const atMs = nowMs - fromAgeMs;
  if (pod) return podClaim(pod, address, atMs);
  if (service) return serviceClaim(service, address, atMs, nowMs);
  return node ? nodeClaim(node, address, atMs) : undefined;
}

type Entry = readonly [uid: string, Claim];

function podClaim(
  { createdUnixMs: createdMs, node, service, terminating, ...pod }: PodMessage,
  owns: string,
  atMs: number,
): Entry {
  const { name, namespace } = service ?? pod;
  const state = { hostNetwork: false, ended: false, ...(terminating ? { terminating } : {}) };
  const object: Pod = { ...pod, ...state, createdMs, node: node?.name ?? "", service: { name, namespace } };
  return [object.uid, { feed: "pods", object, atMs, owns }];
}

/** What it has besides its cluster addresses comes port by port. */
const NO_PORTS = { ports: [], nodePorts: [], externalAddresses: [] } as const;

function serviceClaim(message: ServiceMessage, owns: string | undefined, atMs: number, nowMs: number): Entry {
  const { createdUnixMs: createdMs, goesBy: named, zone, node, replacedAgeMs, ...service } = message;
  const { name, namespace } = named ?? service;
  const replacedMs = replacedAgeMs === undefined ? -Infinity : nowMs - replacedAgeMs;
  const goesBy = { peer: { name, namespace, zone: zone || undefined, nodeName: node || undefined }, replacedMs };
  const object: Service = { ...service, ...NO_PORTS, createdMs, goesBy };
  return [object.uid, { feed: "services", object, atMs, owns }];
}

/** A port of an address that is a Service's, in the form of endpoints written by hand. */
function atPortClaim(
  { address, port }: Key,
  { namespace, name }: ServiceMessage,
  ownsPorts: boolean,
  atMs: number,
): Entry {
  const uid = `port ${textOf({ address, port })}`;
  const endpoints = [{ addresses: [address], podUid: "" }];
  const object: EndpointSlice = { uid, namespace, service: name, ports: [port], endpoints, ownsPorts };
  return [uid, { feed: "endpoint-slices", object, atMs, owns: undefined }];
}

export function nodeClaim(
  { createdUnixMs: createdMs, ...node }: NodeMessage,
  owns: string | undefined,
  atMs: number,
): Entry {
  const object: Node = { ...node, createdMs };
  return [object.uid, { feed: "nodes", object, atMs, owns }];
}
