/**
 * Changes of the cluster → the tables that names are looked up in.
 *
 * The one place that knows which feed fills which table. An update that changes nothing that is kept is
 * told apart here, since most of a pod's updates do not.
 */
import { isDeepStrictEqual } from "node:util";
import type { ClusterChange, ClusterUpsert, Feed, FeedObjects, Node } from "../model/cluster-objects.ts";
import type { LocalPods } from "./local/local-pods.ts";
import type { NodeContext } from "./local/resource.ts";
import type { AddressTables } from "./remote/address-tables.ts";
import type { WatchStart } from "./watch-start.ts";

export interface Tables {
  readonly addresses: AddressTables;
  readonly localPods: LocalPods;
  readonly watchStart: WatchStart;
}

/** What a feed's changes do. */
type FeedTables = {
  readonly [F in Feed]: {
    upsert(object: FeedObjects[F], atMs: number): void;
    remove(uid: string, atMs: number): void;
  };
};

export class ClusterTables {
  readonly #tables: FeedTables;
  readonly #watchStart: WatchStart;
  readonly #feeds: readonly Feed[];
  readonly #unsynced: Set<Feed>;
  readonly #objects = new Map<Feed, Map<string, FeedObjects[Feed]>>();
  #context: NodeContext;

  constructor({ addresses, localPods, watchStart }: Tables, feeds: readonly Feed[], context: NodeContext) {
    this.#tables = this.#tableOf(addresses, localPods);
    this.#watchStart = watchStart;
    this.#feeds = feeds;
    this.#unsynced = new Set(feeds);
    this.#context = context;
  }

  /** The same object until something in it changes. */
  get context(): NodeContext {
    return this.#context;
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
      this.#watchStart.listed(change.feed, change.atMs);
      return this.#unsynced.delete(change.feed);
    }
    const objects = this.#objects.get(change.feed) ?? new Map<string, FeedObjects[Feed]>();
    this.#objects.set(change.feed, objects);
    if (change.type === "remove") {
      if (!objects.delete(change.uid)) return false;
      this.#tables[change.feed].remove(change.uid, change.atMs);
      return true;
    }
    if (isDeepStrictEqual(objects.get(change.object.uid), change.object)) return false;
    objects.set(change.object.uid, change.object);
    upsertInto(this.#tables, change);
    return true;
  }

  /** Each feed's, by what they are called with. */
  #tableOf(addresses: AddressTables, localPods: LocalPods): FeedTables {
    return {
      "local-pods": {
        upsert: (pod, atMs) => {
          localPods.upsert(pod, atMs);
          if (this.#localPodsOnly()) addresses.upsertPod(pod, atMs);
        },
        remove: (uid, atMs) => {
          localPods.remove(uid, atMs);
          if (this.#localPodsOnly()) addresses.removePod(uid, atMs);
        },
      },
      pods: {
        upsert: (pod, atMs) => addresses.upsertPod(pod, atMs),
        remove: (uid, atMs) => addresses.removePod(uid, atMs),
      },
      services: {
        upsert: (service, atMs) => addresses.upsertService(service, atMs),
        remove: (uid, atMs) => addresses.removeService(uid, atMs),
      },
      "endpoint-slices": {
        upsert: (slice, atMs) => addresses.upsertSlice(slice, atMs),
        remove: (uid, atMs) => addresses.removeSlice(uid, atMs),
      },
      nodes: {
        upsert: (node, atMs) => {
          addresses.upsertNode(node, atMs);
          const { zone, region } = node;
          if (node.name === this.#context.nodeName) this.#learn({ zone, region });
        },
        remove: (uid, atMs) => addresses.removeNode(uid, atMs),
      },
      namespaces: {
        upsert: ({ name, uid }) => {
          if (name === "kube-system") this.#learn({ clusterUid: uid });
        },
        remove: () => {}, // the cluster's uid outlives any answer of the API
      },
    };
  }

  /** Otherwise the own node's pods come twice, and their addresses from the feed that has all. */
  #localPodsOnly(): boolean {
    return !this.#feeds.includes("pods");
  }

  #learn(seen: Partial<NodeContext>): void {
    const context = { ...this.#context, ...seen };
    if (!isDeepStrictEqual(context, this.#context)) this.#context = context;
  }
}

function upsertInto(tables: FeedTables, { feed, object, atMs }: ClusterUpsert): void {
  // The object is of its feed's kind: ClusterUpsert says so, feed by feed.
  (tables[feed].upsert as (object: FeedObjects[Feed], atMs: number) => void)(object, atMs);
}
