/**
 * Names of the places at which trouble shows, so that explanations.ts can match one finding with another. Pure.
 *
 * Places are of addresses and of Resources: a connect, all that leads to one address, all that one end does.
 */
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { LocalEnd } from "../model/names.ts";
import type { EdgeEvidence } from "./evidence.ts";

export function endPlace({ id }: Pick<LocalEnd, "id">): string {
  return `end ${id}`;
}

/** All of an end that failed since the kernel itself has no way to a host. */
export function unreachablePlace({ id }: Pick<LocalEnd, "id">): string {
  return `unreachable ${id}`;
}

export function targetPlace(address: string): string {
  return `to ${address}`;
}

/** Both ends' addresses in one order, and the server's port: the same whichever end a packet or a socket is of. */
export function trafficPlace(one: string, other: string, serverPort: number): string {
  const [low, high] = one < other ? [one, other] : [other, one];
  return `between ${low} ${high} ${serverPort}`;
}

/** All places of an edge. */
export function edgePlaces({ key, names }: EdgeEvidence): string[] {
  const { localAddress, remoteAddress, serverPort } = key;
  return [endPlace(names.local), targetPlace(remoteAddress), trafficPlace(localAddress, remoteAddress, serverPort)];
}

/** Of a dropped packet; none where it shows no addresses. */
export function dropPlaces({ key: { localAddress, remoteAddress, serverPort } }: EvidenceGrowth): string[] {
  if (localAddress === undefined || remoteAddress === undefined || serverPort === 0) return [];
  return [trafficPlace(localAddress, remoteAddress, serverPort)];
}
