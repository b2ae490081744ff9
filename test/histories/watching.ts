/**
 * Watches of the API server, as their messages come: late, not at all for a while, then all of them or a new list.
 *
 * Keeps what it has told and when, for the judge: that is what an agent can know, whatever it makes of it.
 */
import type { ClusterChange, EndpointSlice, Feed, Pod } from "../../agent/model/cluster-objects.ts";
import type { Timeline } from "./timeline.ts";
import type { World, Write } from "./world.ts";

/** A watch is at most so late while it is connected; a pod starts later than that after it was put on its node. */
const WATCH_LAG_MS = 400;

/** What was told of one object, and when; times that have not come yet are Infinity. */
export interface Told {
  readonly uid: string;
  /** 0: by the first list. */
  readonly placedMs: number;
  addressMs: number;
  terminatingMs: number;
  endMs: number;
}

export class Watching {
  readonly told = new Map<string, Told>();
  /** What the API said of the Service's endpoints, and when that was told. */
  readonly slices: { readonly toldMs: number; readonly uid: string; readonly podUids: readonly string[] }[] = [];
  readonly #world: World;
  readonly #timeline: Timeline;
  readonly #feeds: readonly Feed[];
  readonly #apply: (change: ClusterChange) => void;
  readonly #known = new Map<string, Feed>();
  readonly #lagMs: (index: number) => number;
  #cursor: number;
  #isFirst = true;
  isConnected: boolean;
  stoppedMs = Infinity;
  /** When the first list was told. */
  listedMs = Infinity;
  lastListMs = -Infinity;

  constructor(
    world: World,
    timeline: Timeline,
    feeds: readonly Feed[],
    lagMs: (index: number) => number,
    apply: (change: ClusterChange) => void,
    isConnected = true,
  ) {
    this.#world = world;
    this.#timeline = timeline;
    this.#feeds = feeds;
    this.#lagMs = lagMs;
    this.#apply = apply;
    this.#cursor = world.writes.length;
    this.isConnected = isConnected;
    if (isConnected) this.list();
  }

  /** Something was written: it is told in its order, a little later. */
  written(): void {
    const index = this.#world.writes.length - 1;
    this.#timeline.after(this.#lagMs(index) % WATCH_LAG_MS, () => this.#tellUntil(index));
  }

  get isStopped(): boolean {
    return this.stoppedMs < Infinity;
  }

  stop(): void {
    this.stoppedMs = this.#timeline.nowMs;
  }

  disconnect(): void {
    this.isConnected = false;
  }

  /** @param isGone the history is compacted (410): a list follows */
  reconnect(isGone: boolean): void {
    if (this.isConnected || this.isStopped) return;
    this.isConnected = true;
    if (isGone || this.#isFirst) this.list();
    else this.#tellUntil(this.#world.writes.length - 1);
  }

  /** Everything that exists, in the order of names; what is not there any more has gone. */
  list(): void {
    this.#cursor = this.#world.writes.length;
    const atMs = this.#timeline.nowMs;
    const all = [...this.#world.objects.values()].sort((a, b) => (a.uid < b.uid ? -1 : 1));
    for (const feed of this.#feeds) {
      for (const write of all) if (write.feed === feed) this.#tell(write);
      for (const [uid, of] of [...this.#known]) {
        if (of === feed && !this.#world.objects.has(uid)) this.#tell({ feed, atMs, uid, object: undefined });
      }
      this.#apply({ feed, type: "synced", atMs });
    }
    if (this.#isFirst) this.listedMs = atMs;
    this.lastListMs = atMs;
    this.#isFirst = false;
  }

  #tellUntil(index: number): void {
    if (this.isStopped || !this.isConnected) return;
    while (this.#cursor <= index) this.#tell(this.#world.writes[this.#cursor++] as Write);
  }

  #tell({ feed, uid, object }: Write): void {
    if (!this.#feeds.includes(feed)) return;
    const atMs = this.#timeline.nowMs;
    if (object) this.#known.set(uid, feed);
    else this.#known.delete(uid);
    this.#note(feed, uid, object);
    this.#apply(
      (object ? { feed, type: "upsert", atMs, object } : { feed, type: "remove", atMs, uid }) as ClusterChange,
    );
  }

  #note(feed: Feed, uid: string, object: Write["object"]): void {
    const { nowMs } = this.#timeline;
    if (feed === "endpoint-slices" && object) {
      const { endpoints } = object as EndpointSlice;
      this.slices.push({ toldMs: nowMs, uid, podUids: endpoints.map(({ podUid }) => podUid) });
    }
    if (feed !== "pods" && feed !== "nodes") return;
    const placedMs = this.#isFirst ? 0 : nowMs;
    const before = this.told.get(uid);
    const told = before ?? { uid, placedMs, addressMs: Infinity, terminatingMs: Infinity, endMs: Infinity };
    this.told.set(uid, told);
    const { addresses = [], ended = false, terminating = false } = (object ?? { ended: true }) as Partial<Pod>;
    // One that is first told of with its end says nothing of when that was.
    if (addresses.length > 0 && !(before === undefined && ended)) told.addressMs = Math.min(told.addressMs, nowMs);
    if (terminating) told.terminatingMs = Math.min(told.terminatingMs, nowMs);
    if (ended) told.endMs = Math.min(told.endMs, nowMs);
  }
}
