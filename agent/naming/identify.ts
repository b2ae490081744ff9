/**
 * Both ends of an edge by name: the local end by its cgroup, the remote end by its address and the time.
 *
 * Look-ups only read tables. `apply` (metadata) and `addCgroup` (the probe) fill them. While metadata may still
 * come, an edge is `pending` and its growth stays in the kernel. After a bounded wait it gets a name by what is
 * known. Times come in as arguments.
 */

import type { ClusterChange, ClusterUpsert, Feed, Pod, Service } from "../model/cluster-objects.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { Identified, Identity, LocalEnd, RemoteEnd } from "../model/names.ts";
import type { Cgroup } from "../model/probe-event.ts";
import { canonicalAddresses } from "../shared/prefix.ts";
import { HANDOVER_MS } from "./claims.ts";
import { ClusterTables } from "./cluster-tables.ts";
import { type CgroupPlace, parseCgroup } from "./local/cgroup.ts";
import { LocalPods } from "./local/local-pods.ts";
import { ownNodeTrouble } from "./local/own-node.ts";
import { cgroupEnd, type NodeContext, podEnd } from "./local/resource.ts";
import { AddressTables } from "./remote/address-tables.ts";
import { Addresses } from "./remote/addresses.ts";
import { Waits } from "./waits.ts";
import { WatchStart } from "./watch-start.ts";

export interface IdentityOptions {
  readonly hostName: string;
  /** This machine's own addresses; loopback may be among them. */
  readonly hostAddresses: readonly string[];
  /** Name → prefixes: what peers in them are called where nothing better is known. The longest prefix wins. */
  readonly cidrs: Readonly<Record<string, readonly string[]>>;
  /** Undefined: no Kubernetes, and nothing is ever pending. */
  readonly kubernetes: KubernetesIdentityOptions | undefined;
  /** CLOCK_BOOTTIME of the identity's beginning: the wait for the first sync is counted from here. */
  readonly startedNs: bigint;
  /** Unix time at CLOCK_BOOTTIME 0: by it the API's times are compared with those of growth. */
  readonly bootUnixMs: number;
}

export interface KubernetesIdentityOptions {
  readonly nodeName: string;
  /** `k8s.cluster.name`; the API does not know it. */
  readonly clusterName: string | undefined;
  /** The feeds that will be applied (feedsOf in agent/kubernetes/watch-cluster.ts): all must have synced. */
  readonly feeds: readonly Feed[];
  /** Asked for each remote address where a directory fills the tables; a DirectoryClient fits. */
  readonly directory?: RemoteDirectory | undefined;
}

export interface RemoteDirectory {
  /**
   * Whether its answer is in the tables, or never will be.
   *
   * @param port what is connected to at the address; 0 where it is a client's
   */
  answered(address: string, port: number, nowMs: number): boolean;
}

/** How full the tables are and what they had to refuse: for self metrics and health. */
export interface IdentityStats {
  readonly cgroups: number;
  readonly localPods: number;
  readonly addresses: number;
  /** Addresses that found no room in the table since the start; they are `unknown`. */
  readonly addressesRefused: number;
}

/** An Identity whose tables are filled by `apply`. */
export interface ClusterIdentity extends Identity {
  apply(change: ClusterChange): void;
  /** Has all edges looked up anew: so a directory hears which addresses are still seen. */
  refresh(): void;
  /** All feeds have synced at least once; always true without Kubernetes. */
  readonly synced: boolean;
  /** Whether the probe has reported the cgroup's names; until then an end in it is named by its address alone. */
  knowsCgroup(id: bigint): boolean;
  stats(): IdentityStats;
  /** What is wrong with the name that this node was given, as far as is known. */
  nodeTrouble(): string | undefined;
  /** This node, as the local end of what belongs to no pod and no unit. */
  node(): LocalEnd;
}

/** How long an edge waits for the metadata of its own ends. */
export const PENDING_MS = 30_000;
/** How long all edges wait for the first sync, so that a dead API server does not silence the agent. */
export const FIRST_SYNC_MS = 60_000;
/** How long a deleted pod, and the former owner of an address, stay known. */
export const GONE_MS = 300_000;
const SWEEP_MS = 10_000;
const ADDRESSES_MAX = 500_000;
const CGROUPS_MAX = 65_536;
const STRANGERS_MAX = 1_000;
const MISSING_MAX = 65_536;
const MISSING_FORGET_MS = 600_000;
/** A question of long ago may have been answered and withdrawn since. */
const UNANSWERED_FORGET_MS = 60_000;

export function createIdentity(options: IdentityOptions): ClusterIdentity {
  return new TableIdentity(options);
}

interface KnownCgroup {
  readonly place: CgroupPlace;
  readonly seenMs: number;
  usedMs: number;
  /** The last answer and what it was made of. */
  cached: CachedEnd | undefined;
}

/** `final`: later growth has the same end, too, until the version rises. */
interface Settled<T> {
  readonly end: T;
  readonly final: boolean;
}

interface CachedEnd {
  readonly pod: object | undefined;
  readonly container: object | undefined;
  readonly context: NodeContext;
  readonly end: LocalEnd;
}

class TableIdentity implements ClusterIdentity {
  readonly #inKubernetes: boolean;
  readonly #directory: RemoteDirectory | undefined;
  readonly #startedMs: number;
  readonly #owners: AddressTables;
  readonly #addresses: Addresses;
  readonly #localPods: LocalPods;
  readonly #tables: ClusterTables;
  readonly #cgroups = new Map<bigint, KnownCgroup>();
  /** For addresses without a known owner, and questions (address and port) without an answer of the directory. */
  readonly #missing = new Waits(PENDING_MS, MISSING_MAX);
  readonly #hostAddresses: readonly string[];
  /** Uids of pods that run here and are not reported; undefined once one of them was. */
  #strangers: Set<string> | undefined = new Set();
  #version = 1;
  #sweptMs = -Infinity;

  constructor({ kubernetes, hostName, hostAddresses, cidrs, startedNs, bootUnixMs }: IdentityOptions) {
    this.#inKubernetes = kubernetes !== undefined;
    this.#directory = kubernetes?.directory;
    this.#hostAddresses = canonicalAddresses(hostAddresses);
    this.#startedMs = milliseconds(startedNs);
    const nodeName = kubernetes?.nodeName;
    const watchStart = new WatchStart(bootUnixMs);
    this.#localPods = new LocalPods(GONE_MS, watchStart);
    const bounds = { graceMs: GONE_MS, capacity: ADDRESSES_MAX };
    const allPods = kubernetes?.feeds.includes("pods") ?? false;
    this.#owners = new AddressTables({ allPods, watchStart, ...bounds });
    this.#addresses = new Addresses(this.#owners, { hostName, hostAddresses, cidrs, nodeName, allPods, watchStart });
    const clusterName = kubernetes?.clusterName;
    const context = { hostName, nodeName, clusterName, clusterUid: undefined, zone: undefined, region: undefined };
    const tables = { addresses: this.#owners, localPods: this.#localPods, watchStart };
    this.#tables = new ClusterTables(tables, kubernetes?.feeds ?? [], context);
  }

  get version(): number {
    return this.#version;
  }

  get synced(): boolean {
    return this.#tables.unsynced.size === 0;
  }

  stats(): IdentityStats {
    return {
      cgroups: this.#cgroups.size,
      localPods: this.#localPods.size,
      addresses: this.#owners.size,
      addressesRefused: this.#owners.refused,
    };
  }

  nodeTrouble(): string | undefined {
    const { unsynced, context } = this.#tables;
    if (context.nodeName === undefined || unsynced.has("local-pods")) return undefined;
    return ownNodeTrouble({
      nodeName: context.nodeName,
      nodes: unsynced.has("nodes") ? undefined : this.#tables.nodes(),
      allNodes: this.#directory === undefined,
      hostAddresses: this.#hostAddresses,
      strangers: this.#strangers?.size ?? 0,
    });
  }

  node(): LocalEnd {
    return cgroupEnd({ kind: "host" }, this.#tables.context);
  }

  addCgroup(cgroup: Cgroup): void {
    const seenMs = milliseconds(cgroup.seenNs);
    if (this.#cgroups.size >= CGROUPS_MAX && !this.#cgroups.has(cgroup.id)) this.#dropUnusedCgroups();
    this.#cgroups.set(cgroup.id, { place: parseCgroup(cgroup.names), seenMs, usedMs: seenMs, cached: undefined });
    this.#version++;
  }

  knowsCgroup(id: bigint): boolean {
    return this.#cgroups.has(id);
  }

  apply(change: ClusterChange): void {
    if (change.atMs > this.#sweptMs + SWEEP_MS) this.#sweep(change.atMs);
    if (!this.#tables.apply(change)) return;
    this.#version++;
    if (change.type === "upsert" && this.#missing.size > 0) this.#isKnown(change);
  }

  /** The addresses have an owner now. The wait for the next owner begins anew. */
  #isKnown({ object }: ClusterUpsert): void {
    const { addresses = [], clusterAddresses = [] } = object as Partial<Pod & Service>;
    for (const address of [...addresses, ...clusterAddresses]) this.#missing.end(address);
  }

  refresh(): void {
    this.#version++;
  }

  identify(key: EdgeKey, sinceNs: bigint, untilNs: bigint, nowNs: bigint = untilNs): Identified {
    const nowMs = milliseconds(nowNs);
    const { unsynced } = this.#tables;
    if (key.overflow && key.cgroup === 0n) {
      return { state: "named", local: this.node(), remote: NOBODY, passing: false };
    }
    if (unsynced.size > 0 && nowMs - this.#startedMs < FIRST_SYNC_MS) {
      return { state: "pending", why: `not synced: ${[...unsynced].join(", ")}` };
    }
    const local = this.#local(key, milliseconds(sinceNs), milliseconds(untilNs), nowMs);
    if (local === undefined) return { state: "pending", why: "the pod is not known yet" };
    if (key.overflow) return { state: "named", local: local.end, remote: NOBODY, passing: !local.final };
    const remote = this.#remote(key, milliseconds(sinceNs), milliseconds(untilNs), nowMs);
    if (typeof remote === "string") return { state: "pending", why: remote };
    const passing = !local.final || !remote.final;
    return { state: "named", local: local.end, remote: remote.end, passing };
  }

  /** @returns undefined while it is worth waiting for the pod */
  #local(key: EdgeKey, sinceMs: number, untilMs: number, nowMs: number): Settled<LocalEnd> | undefined {
    const cgroup = this.#cgroups.get(key.cgroup);
    const place = cgroup?.place ?? UNKNOWN_PLACE;
    const inPod = place.kind === "container" || place.kind === "pod";
    const placeless = place.kind === "host" || place.kind === "unknown";
    const { found, final } = placeless
      ? this.#localPods.findByAddress(key.localAddress, sinceMs, untilMs)
      : { found: this.#localPods.find(place), final: true };
    const young = cgroup !== undefined && nowMs - cgroup.seenMs < PENDING_MS;
    if (this.#inKubernetes && inPod && !found?.complete && young) return undefined;
    if (inPod && place.podUid !== undefined) this.#noteOwnPod(place.podUid, found !== undefined);

    const containerId = place.kind === "container" ? place.containerId : undefined;
    const { context } = this.#tables;
    const { pod, container } = found ?? {};
    if (cgroup !== undefined) cgroup.usedMs = nowMs;
    const cached = cgroup?.cached;
    if (cached?.context === context && cached.pod === pod && cached.container === container) {
      return { end: cached.end, final };
    }
    const end = pod ? podEnd(pod, container, containerId, context) : cgroupEnd(place, context);
    if (cgroup !== undefined) cgroup.cached = { pod, container, context, end };
    return { end, final };
  }

  #noteOwnPod(uid: string, isKnown: boolean): void {
    if (isKnown) this.#strangers = undefined;
    else if (this.#strangers !== undefined && this.#strangers.size < STRANGERS_MAX) this.#strangers.add(uid);
  }

  /** @returns why it is worth waiting for the address's owner, while it is */
  #remote(
    { remoteAddress, serverPort, role }: EdgeKey,
    sinceMs: number,
    untilMs: number,
    nowMs: number,
  ): Settled<RemoteEnd> | string {
    const port = role === "client" ? serverPort : 0;
    const isAnswered = role === "listener" || (this.#directory?.answered(remoteAddress, port, nowMs) ?? true);
    const question = `${remoteAddress} ${port}`;
    if (isAnswered) this.#missing.end(question);
    else if (!this.#missing.isOver(question, nowMs, UNANSWERED_FORGET_MS))
      return `the directory has not answered ${remoteAddress}`;
    const { end, state } = this.#addresses.find(remoteAddress, serverPort, role, sinceMs, untilMs);
    if (state !== "missing") this.#missing.end(remoteAddress);
    else if (isAnswered && !this.#missing.isOver(remoteAddress, nowMs, MISSING_FORGET_MS))
      return `${remoteAddress} is not known yet`;
    // It may be a pod's or a node's as well: not all feeds have been read. An answer of "nobody" changes no table.
    const isHeard = isAnswered && this.#tables.unsynced.size === 0;
    if (!isHeard && end.kind === "external") return { end: { ...NOBODY, label: remoteAddress }, final: isAnswered };
    if (state === "ending" && nowMs < untilMs + HANDOVER_MS) return `${remoteAddress} may have another owner already`;
    return { end, final: state === "final" || state === "missing" };
  }

  #sweep(nowMs: number): void {
    this.#sweptMs = nowMs;
    this.#owners.sweep(nowMs);
    this.#localPods.sweep(nowMs);
    this.#missing.sweep(nowMs, MISSING_FORGET_MS);
  }

  /** The probe sends a cgroup once a connection. So those that were used longest ago go first, an eighth at a time. */
  #dropUnusedCgroups(): void {
    const byUse = [...this.#cgroups].sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [id] of byUse.slice(0, CGROUPS_MAX / 8)) this.#cgroups.delete(id);
  }
}

const UNKNOWN_PLACE: CgroupPlace = { kind: "unknown" };
const NOBODY: RemoteEnd = { kind: "unknown", name: undefined, namespace: undefined, podName: undefined, label: "" };

function milliseconds(ns: bigint): number {
  return Number(ns) / 1e6;
}
