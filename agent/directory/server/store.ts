/**
 * The cluster's objects, trimmed and kept once → what is known of one (address, port).
 *
 * It takes the same changes as an agent's identity (agent/model/cluster-objects.ts) and answers by the same rules,
 * but keeps far less of each pod and no agent's own view. What may have changed an answer is reported to the
 * listeners; which answers did change is for them to find out.
 */

import { isDeepStrictEqual } from "node:util";
import {
  addressesOf,
  type ClusterChange,
  type ClusterUpsert,
  type Feed,
  type Node,
  type Pod,
  type Service,
  type ServiceName,
  type ServiceNaming,
} from "../../model/cluster-objects.ts";
import { terminatingSince } from "../../naming/claims.ts";
import { GONE_MS } from "../../naming/identify.ts";
import { type BackingPod, endpointKey, Services } from "../../naming/remote/services.ts";
import { BOOT_MS } from "../../naming/watch-start.ts";
import { parseAddress } from "../../shared/address.ts";
import type { Key } from "../protocol.ts";
import { NodeRanges } from "./node-ranges.ts";
import {
  type AtPort,
  listOf,
  NONE,
  type NodeRecord,
  type OwnerRecord,
  PodRecord,
  type ServiceRecord,
} from "./owner-records.ts";
import { type OwnedInterval, Ownership } from "./ownership.ts";
import { PackedSlice } from "./packed-slice.ts";
import { SharedValues } from "./shared-values.ts";
import type { StoreListeners, StoreStats } from "./store-news.ts";

export class DirectoryStore {
  readonly #pods = new Map<string, PodRecord>();
  readonly #services = new Map<string, ServiceRecord>();
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #nodeByName = new Map<string, NodeRecord>();
  readonly #owners = new Ownership<OwnerRecord>(GONE_MS);
  readonly #behind = new Services(
    {
      byUid: (uid) => this.#backingPod(this.#pods.get(uid)),
      byAddress: (address) => this.#podAt(address),
    },
    true,
  );
  readonly #texts = new SharedValues<string>((text) => text);
  readonly #names = new SharedValues<ServiceName>(({ name, namespace }) => `${namespace}/${name}`);
  readonly #unsynced: Set<Feed>;
  readonly #listeners: StoreListeners;
  /** Made when it is asked for. */
  #ranges: NodeRanges | undefined;
  #clusterUid = "";
  #listedMs = 0;
  readonly #changes: Partial<Record<Feed, number>> = {};

  /** @param feeds those that will be applied: all must have synced before answers mean anything */
  constructor(feeds: readonly Feed[], listeners: StoreListeners) {
    this.#unsynced = new Set(feeds);
    this.#listeners = listeners;
  }

  get unsynced(): ReadonlySet<Feed> {
    return this.#unsynced;
  }

  get clusterUid(): string {
    return this.#clusterUid;
  }

  stats(): StoreStats {
    const { size: addresses } = this.#owners;
    const changes = { ...this.#changes };
    return { pods: this.#pods.size, services: this.#services.size, nodes: this.#nodes.size, addresses, changes };
  }

  /** Values that several pods have in common, each kept once. */
  sharedValues(): number {
    return this.#texts.size + this.#names.size;
  }

  apply(change: ClusterChange): void {
    if (change.type !== "synced") this.#changes[change.feed] = (this.#changes[change.feed] ?? 0) + 1;
    if (change.type === "synced") this.#synced(change.feed, change.atMs);
    else if (change.type === "remove") this.#remove(change.feed, change.uid, change.atMs);
    else this.#upsert(change);
  }

  #synced(feed: Feed, atMs: number): void {
    this.#unsynced.delete(feed);
    this.#listedMs = atMs;
    if (this.#unsynced.size === 0) this.#listeners.cluster();
  }

  /** When a feed was last read as a whole. */
  get listedMs(): number {
    return this.#listedMs;
  }

  sweep(nowMs: number): void {
    this.#owners.sweep(nowMs);
  }

  nodeByName(name: string): Node | undefined {
    return this.#nodeByName.get(name)?.node;
  }

  intervals(address: string): readonly OwnedInterval<OwnerRecord>[] {
    return this.#owners.intervals(address);
  }

  forgottenUntil(address: string): number | undefined {
    return this.#owners.forgottenUntil(address);
  }

  /** The Service that has this port of this address for itself. */
  atPort(address: string, port: number): AtPort | undefined {
    if (port === 0) return undefined;
    const own = this.#behind.atAddressPort(`${address} ${port}`);
    if (own) return { service: own, byEndpoint: false };
    const byHand = this.#behind.atAddressPort(endpointKey(address, port));
    if (byHand) return { service: byHand, byEndpoint: true };
    const owners = this.#owners.ownersOf(address);
    const isNode = owners.length > 0 && owners.every(({ kind }) => kind === "node");
    const service = isNode ? this.#behind.atNodePort(port) : undefined;
    return service && { service, byEndpoint: false };
  }

  /** What clients of a Service call it. */
  namingOf(service: Service): ServiceNaming {
    return this.#behind.naming(service);
  }

  /** What the Services in the answer to a key are called now, and since when; undefined where there is none. */
  peerNameOf({ address, port }: Key): string | undefined {
    const owners = this.#owners.ownersOf(address);
    const atPort = this.atPort(address, port);
    const services = owners.flatMap((owner) => (owner.kind === "service" ? [owner.service] : []));
    if (atPort) services.push(atPort.service);
    if (services.length === 0) return undefined;
    return JSON.stringify(
      services.map((service) => this.namingOf(service)).map(({ peer, replacedMs }) => [peer, replacedMs]),
    );
  }

  /** The node whose range for pods holds the address. */
  rangeOf(address: string): Node | undefined {
    const bytes = parseAddress(address);
    this.#ranges ??= new NodeRanges([...this.#nodes.values()].map(({ node }) => node));
    return bytes && this.#ranges.find(bytes);
  }

  #upsert({ feed, object, atMs }: ClusterUpsert): void {
    switch (feed) {
      case "pods":
        this.#upsertPod(object, atMs);
        break;
      case "services":
        this.#upsertService(object, atMs);
        break;
      case "endpoint-slices":
        this.#behind.upsertSlice(new PackedSlice(object), atMs);
        this.#listeners.names();
        for (const { addresses, podUid } of object.endpoints) if (podUid === "") this.#touch(addresses);
        break;
      case "nodes":
        this.#upsertNode(object, atMs);
        break;
      case "namespaces":
        if (object.name !== "kube-system" || object.uid === this.#clusterUid) break;
        this.#clusterUid = object.uid;
        this.#listeners.cluster();
        break;
      case "local-pods":
      // An agent's feed: the directory has no node of its own.
    }
  }

  #remove(feed: Feed, uid: string, atMs: number): void {
    if (feed === "pods") this.#removePod(uid, atMs);
    if (feed === "services") this.#removeService(uid, atMs);
    if (feed === "nodes") this.#removeNode(uid, atMs);
    if (feed !== "endpoint-slices") return;
    this.#behind.removeSlice(uid, atMs);
    this.#listeners.names();
    this.#listeners.ports();
  }

  #upsertPod(pod: Pod, atMs: number): void {
    let record = this.#pods.get(pod.uid);
    const isNew = record === undefined;
    const fromMs = this.#earliestMs("pods", atMs);
    record ??= new PodRecord({ ...pod, namespace: this.#texts.take(pod.namespace) }, fromMs);
    const addresses = addressesOf(pod);
    const before = listOf(record.addresses);
    const { isNamedAnew, isMoved, isEnding } = record.differenceTo(pod);
    // Reported again, as after an outage: an address that another pod has taken meanwhile stays the other's.
    const isSame = !isNew && !isNamedAnew && !isMoved && !isEnding;
    if (isSame && isDeepStrictEqual(before, addresses)) return;
    if (record.node === "" && before.length === 0) record.fromMs = fromMs;
    if (isNamedAnew) {
      if (!isNew) this.#names.giveBack(record.service);
      record.service = this.#names.take(pod.service);
    }
    if (isMoved) {
      if (record.node !== "") this.#texts.giveBack(record.node);
      record.node = pod.node === "" ? "" : this.#texts.take(pod.node);
    }
    record.addresses = addresses.length === 1 ? (addresses[0] as string) : addresses;
    record.terminatingMs = terminatingSince(pod, record.terminatingMs, fromMs);
    this.#pods.set(record.uid, record);
    this.#own(record, before, addresses, atMs);
    // One that lived so shortly that its address is reported with its end: as in agent/naming/remote/addresses.ts.
    const isLate = pod.ended && !pod.hostNetwork && !isNew && !record.ended && before.length === 0;
    if (isLate) for (const address of pod.addresses) this.#owners.addFormer(address, record, record.fromMs, atMs);
    if (isLate) this.#touch(pod.addresses);
    record.ended = pod.ended;
    if (isNamedAnew || isMoved) this.#backingPodsChanged(atMs);
    if (!isNew && (isNamedAnew || isMoved || isEnding)) this.#touch(addresses);
  }

  #podAt(address: string): BackingPod | undefined {
    const [owner, ...others] = this.#owners.ownersOf(address);
    return owner?.kind === "pod" && others.length === 0 ? this.#backingPod(owner) : undefined;
  }

  #backingPod(pod: PodRecord | undefined): BackingPod | undefined {
    const { service, node } = pod ?? {};
    return service && { service, zone: this.nodeByName(node ?? "")?.zone || undefined, nodeName: node || undefined };
  }

  #backingPodsChanged(atMs: number): void {
    this.#behind.podsChanged(atMs);
    this.#listeners.names();
  }

  #removePod(uid: string, atMs: number): void {
    const record = this.#pods.get(uid);
    if (!record) return;
    this.#own(record, listOf(record.addresses), NONE, atMs);
    this.#pods.delete(uid);
    this.#texts.giveBack(record.namespace);
    if (record.node !== "") this.#texts.giveBack(record.node);
    this.#names.giveBack(record.service);
  }

  #upsertService(service: Service, atMs: number): void {
    const { uid, createdMs } = service;
    const known = this.#services.get(uid);
    const record = known ?? {
      kind: "service" as const,
      uid,
      createdMs,
      fromMs: this.#earliestMs("services", atMs),
      service,
    };
    const before = known?.service;
    record.service = service;
    this.#services.set(uid, record);
    this.#behind.upsert(service);
    this.#own(record, before?.clusterAddresses ?? NONE, service.clusterAddresses, atMs);
    this.#touch([...(before?.externalAddresses ?? NONE), ...service.externalAddresses]);
    this.#listeners.names();
    if (before?.nodePorts.join() !== service.nodePorts.join()) this.#listeners.ports();
  }

  #removeService(uid: string, atMs: number): void {
    const record = this.#services.get(uid);
    if (!record) return;
    this.#services.delete(uid);
    this.#behind.remove(uid);
    this.#own(record, record.service.clusterAddresses, NONE, atMs);
    this.#touch(record.service.externalAddresses);
    this.#listeners.ports();
  }

  #upsertNode(node: Node, atMs: number): void {
    const { uid, createdMs } = node;
    const known = this.#nodes.get(uid);
    const record = known ?? { kind: "node" as const, uid, createdMs, fromMs: this.#earliestMs("nodes", atMs), node };
    const before = known?.node;
    record.node = node;
    this.#nodes.set(uid, record);
    this.#nodeByName.set(node.name, record);
    this.#own(record, before?.addresses ?? NONE, node.addresses, atMs);
    this.#ranges = undefined;
    // A kubelet reports every few seconds; nothing of that is kept.
    if (JSON.stringify(before) === JSON.stringify(node)) return;
    if (before?.zone !== node.zone) this.#backingPodsChanged(atMs);
    if (this.#unsynced.size === 0) this.#touchNode(node.name);
    this.#listeners.cluster();
  }

  #removeNode(uid: string, atMs: number): void {
    const record = this.#nodes.get(uid);
    if (!record) return;
    this.#nodes.delete(uid);
    if (this.#nodeByName.get(record.node.name) === record) this.#nodeByName.delete(record.node.name);
    this.#own(record, record.node.addresses, NONE, atMs);
    this.#ranges = undefined;
    this.#listeners.cluster();
  }

  /** Its zone stands in the answers of all its pods. Rare: a walk over all pods. */
  #touchNode(name: string): void {
    this.#touch(this.#nodeByName.get(name)?.node.addresses ?? NONE);
    for (const pod of this.#pods.values()) if (pod.node === name) this.#touch(listOf(pod.addresses));
  }

  #own(owner: OwnerRecord, before: readonly string[], after: readonly string[], atMs: number): void {
    for (const address of before) {
      if (!after.includes(address)) this.#change(address, atMs, () => this.#owners.release(address, owner, atMs));
    }
    const feed = owner.kind === "service" ? "services" : "nodes";
    const fromMs = owner.kind === "pod" ? owner.fromMs : this.#earliestMs(feed, atMs);
    for (const address of after) {
      if (before.includes(address)) continue;
      this.#change(address, atMs, () => this.#owners.claim(address, owner, atMs, fromMs));
    }
  }

  /** As in agent/naming/watch-start.ts. */
  #earliestMs(feed: Feed, atMs: number): number {
    return this.#unsynced.has(feed) ? BOOT_MS : atMs;
  }

  #change(address: string, atMs: number, change: () => boolean): void {
    let isChanged = false;
    const mayRename = this.#behind.whenOwnerChanges(address, atMs, () => {
      isChanged = change();
    });
    if (isChanged) this.#listeners.address(address);
    if (mayRename) this.#listeners.names();
  }

  #touch(addresses: readonly string[]): void {
    for (const address of addresses) this.#listeners.address(address);
  }
}
