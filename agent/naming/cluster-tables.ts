/**
 * Changes of the cluster → the tables that names are looked up in.
 *
 * The one place that knows which feed fills which table. An update that changes nothing that is kept is
 * told apart here, since most of a pod's updates do not.
 */
import { isDeepStrictEqual } from "node:util";
import type { ClusterChange, ClusterUpsert, Feed, FeedObjects, Node } from "../model/cluster-objects.ts";
import type { Beginnings } from "./beginnings.ts";
import type { LocalPods } from "./local/local-pods.ts";
import type { Surroundings } from "./local/resource.ts";
import type { Addresses } from "./remote/addresses.ts";

export interface Tables {
  readonly addresses: Addresses;
  readonly localPods: LocalPods;
  readonly beginnings: Beginnings;
}

export class ClusterTables {
  readonly #addresses: Addresses;
  readonly #localPods: LocalPods;
  readonly #beginnings: Beginnings;
  readonly #feeds: readonly Feed[];
  readonly #unsynced: Set<Feed>;
  readonly #objects = new Map<Feed, Map<string, FeedObjects[Feed]>>();
  #around: Surroundings;

  constructor({ addresses, localPods, beginnings }: Tables, feeds: readonly Feed[], around: Surroundings) {
    this.#addresses = addresses;
    this.#localPods = localPods;
    this.#beginnings = beginnings;
    this.#feeds = feeds;
    this.#unsynced = new Set(feeds);
    this.#around = around;
  }

  /** The same object until something in it changes. */
  get around(): Surroundings {
    return this.#around;
  }

  /** The feeds that have not synced yet. */
  get unsynced(): ReadonlySet<Feed> {
    return this.#unsynced;
  }

  nodes(): readonly Node[] {
    return [...(this.#objects.get("nodes")?.values() ?? [])] as Node[];
  }

  /** @returns whether a name may have changed */
  apply(change: ClusterChange): boolean {
    if (change.type === "synced") {
      this.#beginnings.listed(change.feed, change.atMs);
      return this.#unsynced.delete(change.feed);
    }
    const objects = this.#objects.get(change.feed) ?? new Map<string, FeedObjects[Feed]>();
    this.#objects.set(change.feed, objects);
    if (change.type === "remove") {
      if (!objects.delete(change.uid)) return false;
      this.#remove(change.feed, change.uid, change.atMs);
      return true;
    }
    if (isDeepStrictEqual(objects.get(change.object.uid), change.object)) return false;
    objects.set(change.object.uid, change.object);
    this.#upsert(change);
    return true;
  }

  #upsert({ feed, object, atMs }: ClusterUpsert): void {
    switch (feed) {
      case "local-pods":
        this.#localPods.upsert(object, atMs);
        if (this.#localPodsOnly()) this.#addresses.upsertPod(object, atMs);
        break;
      case "pods":
        this.#addresses.upsertPod(object, atMs);
        break;
      case "services":
        this.#addresses.upsertService(object, atMs);
        break;
      case "endpoint-slices":
        this.#addresses.upsertSlice(object, atMs);
        break;
      case "nodes":
        this.#addresses.upsertNode(object, atMs);
        if (object.name === this.#around.nodeName) this.#lookAround({ zone: object.zone, region: object.region });
        break;
      case "namespaces":
        if (object.name === "kube-system") this.#lookAround({ clusterUid: object.uid });
    }
  }

  #remove(feed: Feed, uid: string, atMs: number): void {
    switch (feed) {
      case "local-pods":
        this.#localPods.remove(uid, atMs);
        if (this.#localPodsOnly()) this.#addresses.removePod(uid, atMs);
        break;
      case "pods":
        this.#addresses.removePod(uid, atMs);
        break;
      case "services":
        this.#addresses.removeService(uid, atMs);
        break;
      case "endpoint-slices":
        this.#addresses.removeSlice(uid, atMs);
        break;
      case "nodes":
        this.#addresses.removeNode(uid, atMs);
        break;
      case "namespaces":
      // The cluster's uid outlives any answer of the API.
    }
  }

  /** Otherwise the own node's pods come twice, and their addresses from the feed that has all. */
  #localPodsOnly(): boolean {
    return !this.#feeds.includes("pods");
  }

  #lookAround(seen: Partial<Surroundings>): void {
    const around = { ...this.#around, ...seen };
    if (!isDeepStrictEqual(around, this.#around)) this.#around = around;
  }
}
