/**
 * Answers of a directory → the objects that they speak of, as a watch of the cluster would tell of them.
 *
 * Pure. Times are CLOCK_BOOTTIME milliseconds; an answer's ages count back from when it came.
 */
import type { ClusterUpsert, EndpointSlice, Node, Pod, Service } from "../../model/cluster-objects.ts";
import type { Answer, Interval, Key, NodeMessage, PodMessage, ServiceMessage } from "../protocol.ts";

/** What an answer says of an object. */
export interface Held extends Pick<ClusterUpsert, "feed" | "object"> {
  /** Since when the object is what the answer says it is. */
  readonly atMs: number;
  /** The address that it owns by this answer; undefined where it is only spoken of. */
  readonly owns: string | undefined;
}

export function textOf({ address, port }: Key): string {
  return `${address} ${port}`;
}

export function ownerUid({ pod, service, node }: Interval): string {
  return (pod ?? service ?? node)?.uid ?? "";
}

/** The owners as they are now, after the nodes that they or the address lie on: what is said twice counts as the owner. */
export function ownerHolds({ key, intervals, range }: Answer, nowMs: number): (readonly [string, Held])[] {
  const current = intervals.filter(({ untilAgeMs }) => untilAgeMs === undefined);
  const owners = current.map((each) => ownerHeld(each, key.address, nowMs)).filter((held) => held !== undefined);
  const nodes = [...current.map(({ pod }) => pod?.node), range].filter(
    (node) => node != null && node.uid !== "",
  ) as NodeMessage[];
  return [...nodes.map((node) => nodeHeld(node, undefined, nowMs)), ...owners];
}

export function portHolds(
  { key, atPort, atPortByEndpoint = false }: Answer,
  nowMs: number,
): (readonly [string, Held])[] {
  if (!atPort) return [];
  return [atPortHeld(key, atPort, !atPortByEndpoint, nowMs), serviceHeld(atPort, undefined, nowMs, nowMs)];
}

export function ownerHeld({ fromAgeMs, pod, service, node }: Interval, address: string, nowMs: number) {
  const atMs = nowMs - fromAgeMs;
  if (pod) return podHeld(pod, address, atMs);
  if (service) return serviceHeld(service, address, atMs, nowMs);
  return node ? nodeHeld(node, address, atMs) : undefined;
}

type Entry = readonly [uid: string, Held];

function podHeld(
  { createdUnixMs: createdMs, node, service, terminating, ...pod }: PodMessage,
  owns: string,
  atMs: number,
): Entry {
  const { name, namespace } = service ?? pod;
  const state = { hostNetwork: false, ended: false, ...(terminating ? { terminating } : {}) };
  const object: Pod = { ...pod, ...state, createdMs, node: node?.name ?? "", service: { name, namespace } };
  return [object.uid, { feed: "pods", object, atMs, owns }];
}

/** What it has besides its cluster addresses is told port by port. */
const NO_PORTS = { ports: [], nodePorts: [], externalAddresses: [] } as const;

function serviceHeld(message: ServiceMessage, owns: string | undefined, atMs: number, nowMs: number): Entry {
  const { createdUnixMs: createdMs, goesBy: named, zone, replacedAgeMs, ...service } = message;
  const { name, namespace } = named ?? service;
  const replacedMs = replacedAgeMs === undefined ? -Infinity : nowMs - replacedAgeMs;
  const goesBy = { peer: { name, namespace, zone: zone || undefined }, replacedMs };
  const object: Service = { ...service, ...NO_PORTS, createdMs, goesBy };
  return [object.uid, { feed: "services", object, atMs, owns }];
}

/** A port of an address that is a Service's, said in the way in which endpoints written by hand say it. */
function atPortHeld(
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

export function nodeHeld(
  { createdUnixMs: createdMs, ...node }: NodeMessage,
  owns: string | undefined,
  atMs: number,
): Entry {
  const object: Node = { ...node, createdMs };
  return [object.uid, { feed: "nodes", object, atMs, owns }];
}
