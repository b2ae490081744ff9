/**
 * Whose a piece of evidence is: the local end by the packet's socket, else by its address, else by its net namespace; the
 * remote end by its address.
 *
 * The names come from the same tables as those of edges, as of the time of the growth. A net namespace goes by the cgroup of
 * its first thread: in a pod that is the pod's own.
 */
import { ATTR_CONTAINER_ID, ATTR_FLOWSPAN_SYSTEMD_UNIT, ATTR_K8S_POD_UID } from "../generated/semconv.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { EvidenceKey } from "../model/kernel-evidence.ts";
import type { Identity, LocalEnd, RemoteEnd } from "../model/names.ts";
import type { NamespaceCounters } from "../model/probe-event.ts";

/** Growth happened during (sinceNs, untilNs]. */
export interface Span {
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

export interface EvidenceNamed {
  readonly local: LocalEnd;
  readonly remote: RemoteEnd | undefined;
  /** Of the local end; undefined where it is no packet. */
  readonly direction: "receive" | "transmit" | undefined;
  /** The local end is a pod, a container or a unit, and not just this node. */
  readonly isOwned: boolean;
}

type Ends = Pick<EvidenceNamed, "local" | "remote">;

export class EvidenceNames {
  readonly #identity: Pick<Identity, "identify">;
  /** By inode number. */
  #cgroups: ReadonlyMap<number, bigint> = new Map();

  constructor(identity: Pick<Identity, "identify">) {
    this.#identity = identity;
  }

  /** The namespaces of an exchange: its evidence is of these, and of what is gone already. */
  see(namespaces: readonly Pick<NamespaceCounters, "netns" | "cgroup">[]): void {
    this.#cgroups = new Map(namespaces.map(({ netns, cgroup }) => [netns, cgroup]));
  }

  /** @returns undefined while a name is still awaited */
  of(key: EvidenceKey, span: Span): EvidenceNamed | undefined {
    const named = this.#byPacket(key, span);
    if (named === undefined || named.isOwned) return named;
    const inNamespace = this.ofNamespace(key.netns, span);
    if (inNamespace === undefined) return undefined;
    return inNamespace.isOwned ? { ...named, local: inNamespace.local, isOwned: true } : named;
  }

  /** The pod whose net namespace it is, else this node. @returns undefined while a name is still awaited */
  ofNamespace(netns: number, span: Span): EvidenceNamed | undefined {
    const ends = this.#identify(edgeOf(this.#cgroups.get(netns) ?? 0n, "", undefined, netns), span);
    return ends && { local: ends.local, remote: undefined, direction: undefined, isOwned: isOwned(ends.local) };
  }

  #byPacket(key: EvidenceKey, span: Span): EvidenceNamed | undefined {
    const straight = this.#identify(edgeOfKey(key), span);
    if (straight === undefined) return undefined;
    const owned = isOwned(straight.local);
    if (key.direction !== "forward") return { ...straight, direction: key.direction, isOwned: owned };
    if (owned) return { ...straight, direction: "transmit", isOwned: true };
    // The sender is not on this node. Whoever was to receive the packet may be.
    const back = this.#identify(edgeOfKey(turned(key)), span);
    if (back === undefined) return undefined;
    if (isOwned(back.local)) return { ...back, direction: "receive", isOwned: true };
    return { ...straight, direction: "receive", isOwned: false };
  }

  #identify(edge: EdgeKey, { sinceNs, untilNs }: Span): Ends | undefined {
    const answer = this.#identity.identify(edge, sinceNs, untilNs);
    if (answer.state === "pending") return undefined;
    return { local: answer.local, remote: edge.role === "listener" ? undefined : answer.remote };
  }
}

function isOwned({ resource }: LocalEnd): boolean {
  return [ATTR_K8S_POD_UID, ATTR_CONTAINER_ID, ATTR_FLOWSPAN_SYSTEMD_UNIT].some((name) => resource[name] !== undefined);
}

function turned(key: EvidenceKey): EvidenceKey {
  const role = key.role === undefined ? undefined : key.role === "client" ? "server" : "client";
  return { ...key, localAddress: key.remoteAddress, remoteAddress: key.localAddress, role };
}

function edgeOfKey(key: EvidenceKey): EdgeKey {
  const { cgroup, localAddress = "", netns } = key;
  // A neighbour is no peer: its address is the link's.
  if (key.kind !== "drop" || key.remoteAddress === undefined) return edgeOf(cgroup, localAddress, undefined, netns);
  const edge = edgeOf(cgroup, localAddress, key.remoteAddress, netns);
  return { ...edge, serverPort: key.serverPort, role: key.role ?? "client" };
}

/** Without a remote address it is named as a listener is: it has no peer. */
function edgeOf(cgroup: bigint, localAddress: string, remoteAddress: string | undefined, netns: number): EdgeKey {
  const role = remoteAddress === undefined ? "listener" : "client";
  return { cgroup, localAddress, remoteAddress: remoteAddress ?? "", netns, serverPort: 0, role, overflow: false };
}
