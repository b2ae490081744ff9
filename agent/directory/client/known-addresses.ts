/**
 * What an agent has asked a directory and what it was told → the changes that fill its tables of names.
 *
 * Answers become the same changes as a watch of the whole cluster would bring (agent/model/cluster-objects.ts), so
 * that names come about in one way only. An object stays while any answer speaks of it. An address that
 * nobody has looked up for a while is withdrawn, so that all of this is as large as the agent's own traffic.
 * Pure: times come in as arguments, CLOCK_BOOTTIME milliseconds.
 */

import { FEEDS_OF } from "../../kubernetes/reads.ts";
import type { ClusterChange, ClusterUpsert, Pod } from "../../model/cluster-objects.ts";
import { GONE_MS } from "../../naming/identify.ts";
import type { Answer, ClusterMessage, Interval, Key } from "../protocol.ts";
import { type Held, nodeHeld, ownerHeld, ownerHolds, ownerUid, portHolds, textOf } from "./held-objects.ts";

export interface KnownOptions {
  readonly onChange: (change: ClusterChange) => void;
  /** More addresses than this are not asked for: they stay unknown, and it is counted. */
  readonly capacity: number;
  /** An address that is not looked up for this long is withdrawn. */
  readonly forgetMs: number;
}

export interface KnownStats {
  readonly addresses: number;
  readonly unanswered: number;
  /** Look-ups that found no room. */
  readonly refused: number;
}

/** An object in the identity's tables, with the addresses that answers gave it and no others. */
interface Use {
  readonly feed: ClusterUpsert["feed"];
  object: ClusterUpsert["object"];
  /** Answers that speak of it. */
  answers: number;
  /** Each with the number of answers that say so. */
  readonly owned: Map<string, number>;
}

interface Known {
  readonly key: Key;
  seenMs: number;
  answered: boolean;
  /** By uid: what the tables keep because of the port. */
  holds: ReadonlyMap<string, Held>;
  readonly owned: Owned;
}

/** What the tables have been told of an address; shared by its keys. */
interface Owned {
  keys: number;
  /** By uid: the owner, and what it needs. */
  holds: ReadonlyMap<string, Held>;
  /** Former owners by uid, with the last end that was told. */
  former: ReadonlyMap<string, number>;
  isTold: boolean;
}

export interface KeyChanges {
  readonly add: readonly Key[];
  readonly remove: readonly Key[];
}

const SAME_MS = 500;
const NOTHING: ReadonlyMap<string, Held> = new Map();

export class KnownAddresses {
  readonly #options: KnownOptions;
  readonly #known = new Map<string, Known>();
  readonly #addresses = new Map<string, Owned>();
  /** By uid. */
  readonly #uses = new Map<string, Use>();
  #unasked = new Map<string, Key>();
  #withdrawn = new Map<string, Key>();
  #clusterHolds = NOTHING;
  #unanswered = 0;
  #refused = 0;

  constructor(options: KnownOptions) {
    this.#options = options;
  }

  stats(): KnownStats {
    return { addresses: this.#known.size, unanswered: this.#unanswered, refused: this.#refused };
  }

  /**
   * Whether there is an answer, or never will be one; the first question about a key puts it on the list.
   *
   * @param port what is connected to; 0 where the address is a client's
   */
  answered(address: string, port: number, nowMs: number): boolean {
    const text = textOf({ address, port });
    const known = this.#known.get(text);
    if (known) {
      known.seenMs = nowMs;
      return known.answered;
    }
    if (isOwnOnly(address)) return true;
    if (this.#known.size >= this.#options.capacity) {
      this.#refused++;
      return true;
    }
    const key = { address, port };
    const owned = this.#addresses.get(address) ?? { keys: 0, holds: NOTHING, former: new Map(), isTold: false };
    owned.keys++;
    this.#addresses.set(address, owned);
    this.#known.set(text, { key, seenMs: nowMs, answered: false, holds: NOTHING, owned });
    this.#unanswered++;
    this.#withdrawn.delete(text);
    this.#unasked.set(text, key);
    return false;
  }

  /** What has changed since the last call: for a stream that knows the rest. */
  takeChanges(): KeyChanges {
    const changes = { add: [...this.#unasked.values()], remove: [...this.#withdrawn.values()] };
    this.#unasked = new Map();
    this.#withdrawn = new Map();
    return changes;
  }

  /** All keys: for a stream that knows none. */
  takeAll(): readonly Key[] {
    this.takeChanges();
    return [...this.#known.values()].map(({ key }) => key);
  }

  /** The cluster's own facts: its uid and the agent's node. */
  cluster({ uid, node, listedAgeMs }: ClusterMessage, nowMs: number): void {
    // As after a list of one's own: growth from before may be of somebody who is in no answer.
    const listed = listedAgeMs === undefined ? [] : FEEDS_OF.directory;
    for (const feed of listed) this.#options.onChange({ feed, type: "synced", atMs: nowMs - (listedAgeMs ?? 0) });

    const object = { uid, name: "kube-system" };
    if (uid !== "") this.#options.onChange({ feed: "namespaces", type: "upsert", atMs: nowMs, object });
    const holds = new Map(node ? [nodeHeld(node, undefined, nowMs)] : []);
    this.#replace(this.#clusterHolds, holds, () => nowMs, nowMs);
    this.#clusterHolds = holds;
  }

  /** @param receivedMs when the message came: its ages count back from there */
  answer(answer: Answer, receivedMs: number): void {
    const known = this.#known.get(textOf(answer.key));
    if (!known) return; // withdrawn meanwhile
    const { owned } = known;
    if (!owned.isTold) this.#tellForgotten(answer, receivedMs);
    owned.isTold = true;
    this.#tellOwners(owned, answer, receivedMs);
    const holds = new Map(portHolds(answer, receivedMs));
    this.#replace(known.holds, holds, () => receivedMs, receivedMs);
    known.holds = holds;
    if (!known.answered) this.#unanswered--;
    known.answered = true;
  }

  #tellOwners(owned: Owned, answer: Answer, receivedMs: number): void {
    const ended = answer.intervals.filter(({ untilAgeMs }) => untilAgeMs !== undefined);
    const endOf = (uid: string) => receivedMs - (ended.findLast((each) => ownerUid(each) === uid)?.untilAgeMs ?? 0);
    for (const interval of ended) this.#tellFormer(owned, answer.key.address, interval, receivedMs);
    const holds = new Map(ownerHolds(answer, receivedMs));
    this.#replace(owned.holds, holds, endOf, receivedMs);
    owned.holds = holds;
    owned.former = new Map(ended.map((each) => [ownerUid(each), receivedMs - (each.untilAgeMs ?? 0)]));
  }

  /**
   * Withdraws what was not looked up for a while. Nothing is said of it any more, as if it never was; so not while the
   * tables know a former owner, who would be the only one then.
   */
  forgetUnseen(nowMs: number): void {
    for (const [text, known] of this.#known) {
      if (nowMs - known.seenMs < this.#options.forgetMs) continue;
      if ([...known.owned.former.values()].some((untilMs) => nowMs < untilMs + GONE_MS)) continue;
      this.#known.delete(text);
      if (!known.answered) this.#unanswered--;
      if (!this.#unasked.delete(text)) this.#withdrawn.set(text, known.key);
      this.#release(known.holds, nowMs);
      if (--known.owned.keys > 0) continue;
      this.#addresses.delete(known.key.address);
      this.#release(known.owned.holds, nowMs);
    }
  }

  /** As if they had never been: nothing of them is needed, and they may come back. */
  #release(holds: ReadonlyMap<string, Held>, nowMs: number): void {
    this.#replace(holds, NOTHING, (uid) => holds.get(uid)?.atMs ?? nowMs, nowMs);
  }

  /** @param endOf when an object of `before` stopped to be what it was, where `after` has it no more */
  #replace(
    before: ReadonlyMap<string, Held>,
    after: ReadonlyMap<string, Held>,
    endOf: (uid: string) => number,
    nowMs: number,
  ): void {
    const news = new Set([...after].filter(([uid, { owns }]) => this.#isNews(uid, owns)).map(([uid]) => uid));
    const startOf = new Map([...after].map(([uid, { atMs }]) => [uid, news.has(uid) ? atMs : nowMs]));
    for (const [uid, held] of after) this.#count(uid, held, 1);
    for (const [uid, held] of before) this.#count(uid, held, -1);
    // A port's last Service ends with its slice: while the Service is still known.
    for (const [uid, { feed, object }] of after) if (feed === "endpoint-slices") this.#sayAs(uid, object, nowMs);
    for (const uid of before.keys()) if (!after.has(uid)) this.#say(uid, endOf(uid));
    this.#sayRivals(after, news);
    for (const [uid, { object }] of after) this.#sayAs(uid, object, startOf.get(uid) ?? nowMs);
  }

  #sayAs(uid: string, object: ClusterUpsert["object"], atMs: number): void {
    const use = this.#uses.get(uid);
    if (use) use.object = object;
    this.#say(uid, atMs);
  }

  /** Whether the tables do not know the object, or not that it has this address. */
  #isNews(uid: string, owns: string | undefined): boolean {
    const use = this.#uses.get(uid);
    return use === undefined || (owns !== undefined && !use.owned.has(owns));
  }

  /** All of them have their address, whichever was told to end: the directory has said so. */
  #sayRivals(after: ReadonlyMap<string, Held>, news: ReadonlySet<string>): void {
    const owners = [...after].filter(([, { owns }]) => owns !== undefined);
    if (owners.length < 2) return;
    for (const [uid, { object, atMs }] of owners) {
      if (news.has(uid)) this.#sayAs(uid, "terminating" in object ? { ...object, terminating: false } : object, atMs);
    }
  }

  #count(uid: string, { feed, object, owns }: Held, by: number): void {
    const use = this.#uses.get(uid) ?? { feed, object, answers: 0, owned: new Map<string, number>() };
    use.answers += by;
    this.#uses.set(uid, use);
    if (owns === undefined) return;
    const claims = (use.owned.get(owns) ?? 0) + by;
    if (claims === 0) use.owned.delete(owns);
    else use.owned.set(owns, claims);
  }

  /** Tells the tables how an object is now. */
  #say(uid: string, atMs: number): void {
    const use = this.#uses.get(uid);
    if (!use) return;
    const { feed, object, answers, owned } = use;
    if (answers > 0) {
      const owning = { ...object, ...owningWords(feed, [...owned.keys()]) };
      this.#options.onChange({ feed, type: "upsert", atMs, object: owning } as ClusterChange);
      return;
    }
    this.#uses.delete(uid);
    this.#options.onChange({ feed, type: "remove", atMs, uid });
  }

  /** Somebody had the address until then: growth from before is nobody's that we could name. */
  #tellForgotten({ key, forgottenAgeMs }: Answer, receivedMs: number): void {
    if (forgottenAgeMs === undefined) return;
    const atMs = receivedMs - forgottenAgeMs;
    const object = { ...FORGOTTEN, uid: `forgotten ${textOf(key)}`, addresses: [key.address] };
    this.#options.onChange({ feed: "pods", type: "upsert", atMs, object });
    this.#options.onChange({ feed: "pods", type: "remove", atMs, uid: object.uid });
  }

  /** Under a uid of its own: the same owner may have another address now, or this one again. */
  #tellFormer(owned: Owned, address: string, interval: Interval, receivedMs: number): void {
    const ownersUid = ownerUid(interval);
    const untilMs = receivedMs - (interval.untilAgeMs ?? 0);
    // An age that came over a network is not exact.
    if (untilMs <= (owned.former.get(ownersUid) ?? -Infinity) + SAME_MS) return;
    if (owned.holds.has(ownersUid)) return;
    const held = ownerHeld(interval, address, receivedMs);
    if (!held) return;
    const [, { feed, object, atMs }] = held;
    const uid = `former ${ownersUid} ${address}`;
    const former = { ...object, ...owningWords(feed, [address]), uid };
    // Its zone is its node's, at the moment when it is told.
    const node = interval.pod?.node;
    const itsNode = node && node.uid !== "" ? new Map([nodeHeld(node, undefined, receivedMs)]) : NOTHING;
    this.#replace(NOTHING, itsNode, () => receivedMs, receivedMs);
    if (feed === "pods") {
      // As one whose address is told of with its end, so that whoever has it now keeps it.
      const placed = { ...former, addresses: [] };
      this.#options.onChange({ feed, type: "upsert", atMs, object: placed } as ClusterChange);
      const ended = { ...former, ended: true };
      this.#options.onChange({ feed, type: "upsert", atMs: untilMs, object: ended } as ClusterChange);
    } else this.#options.onChange({ feed, type: "upsert", atMs, object: former } as ClusterChange);
    this.#options.onChange({ feed, type: "remove", atMs: untilMs, uid });
    this.#replace(itsNode, NOTHING, () => receivedMs, receivedMs);
  }
}

/** The part of an object that says which addresses are its own. */
function owningWords(feed: ClusterUpsert["feed"], addresses: readonly string[]): object {
  if (feed === "pods" || feed === "nodes") return { addresses };
  return feed === "services" ? { clusterAddresses: addresses } : {};
}

const FORGOTTEN: Pod = {
  uid: "",
  name: "",
  namespace: "",
  node: "",
  hostNetwork: false,
  addresses: [],
  ended: false,
  createdMs: 0,
  service: { name: "", namespace: "" },
};

/** Addresses that mean only this machine: no directory knows more of them. */
function isOwnOnly(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address === "0.0.0.0" || address === "::";
}
