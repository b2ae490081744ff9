/**
 * Names of the places at which trouble shows, so that explanations.ts can match one finding with another. Pure.
 *
 * Places are of addresses and of Resources: a connect, all that leads to one address, all that one end does.
 */
import { ATTR_K8S_POD_UID } from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { LocalEnd } from "../model/names.ts";
import { isOfClient } from "./affected.ts";
import type { Accounted, EdgeEvidence } from "./evidence.ts";

export function endPlace(end: LocalEnd): string {
  return `end ${ownerOf(end)}`;
}

/** A packet without a socket is a pod's, and not one of its containers'. */
function ownerOf({ id, resource }: LocalEnd): string {
  return String(resource[ATTR_K8S_POD_UID] ?? id);
}

/** All of an end that failed since the kernel itself has no way to a host. */
export function unreachablePlace(end: LocalEnd): string {
  return `unreachable ${ownerOf(end)}`;
}

export function targetPlace(address: string): string {
  return `to ${address}`;
}

/** Both ends' addresses in one order, and the server's port: the same whichever end a packet or a socket is of. */
export function trafficPlace(one: string, other: string, serverPort: number): string {
  const [low, high] = one < other ? [one, other] : [other, one];
  return `between ${low} ${high} ${serverPort}`;
}

/** All that leads to another node and its pods. */
export function nodePlace(name: string): string {
  return `node ${name}`;
}

/** All of a net namespace. */
export function netnsPlace(netns: number): string {
  return `netns ${netns}`;
}

/** All that an end sends to addresses of Services: which pod a packet of it goes to, its socket does not show. */
function servicePlace(end: LocalEnd): string {
  return `services ${ownerOf(end)}`;
}

/** All places of an edge but its namespace: rules there are not the cause of what it does. */
export function edgePlaces({ key, names }: EdgeEvidence): string[] {
  const { localAddress, remoteAddress, serverPort } = key;
  return [
    endPlace(names.local),
    targetPlace(remoteAddress),
    trafficPlace(localAddress, remoteAddress, serverPort),
    ...(names.remote.kind === "service" ? [servicePlace(names.local)] : []),
    ...(names.remote.nodeName === undefined ? [] : [nodePlace(names.remote.nodeName)]),
  ];
}

/** How much of each place the rows count: once for each. @param placesOf a row's */
export function accountsOf(
  rows: readonly EvidenceGrowth[],
  placesOf: (row: EvidenceGrowth) => readonly string[],
): Accounted[] {
  const counts = new Map<string, number>();
  for (const row of rows) for (const place of placesOf(row)) counts.set(place, (counts.get(place) ?? 0) + row.count);
  return Array.from(counts, ([place, count]) => ({ place, count }));
}

/** Of a dropped packet; none where it shows no addresses. One of a pod of this node may have been sent to a Service. */
export function dropPlaces(row: EvidenceGrowth): string[] {
  const { localAddress, remoteAddress, serverPort } = row.key;
  if (localAddress === undefined || remoteAddress === undefined || serverPort === 0) return [];
  const isClients = row.isOwned && isOfClient(row);
  return [trafficPlace(localAddress, remoteAddress, serverPort), ...(isClients ? [servicePlace(row.local)] : [])];
}

/** Each edge under all of its places: made once, and only where something was dropped. */
export function edgesByPlace(edges: readonly EdgeEvidence[]): Map<string, EdgeEvidence[]> {
  const byPlace = new Map<string, EdgeEvidence[]>();
  for (const edge of edges)
    for (const place of edgePlaces(edge)) {
      const there = byPlace.get(place);
      if (there === undefined) byPlace.set(place, [edge]);
      else there.push(edge);
    }
  return byPlace;
}

/** Edges at any of the places, each once. */
export function edgesAt(
  byPlace: ReadonlyMap<string, readonly EdgeEvidence[]>,
  places: Iterable<string>,
): Set<EdgeEvidence> {
  const edges = new Set<EdgeEvidence>();
  for (const place of places) for (const edge of byPlace.get(place) ?? []) edges.add(edge);
  return edges;
}
