/**
 * Questions to a directory and its answers → the changes that fill its tables of names.
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
import { budgetOf, OverBudget } from "./answer-budget.ts";
import { type Claim, nodeClaim, ownerClaim, ownerClaims, ownerUid, portClaims, textOf } from "./claimed-objects.ts";

export interface AddressCacheOptions {
  readonly onChange: (change: ClusterChange) => void;
  /** More addresses than this are not asked for: they stay unknown, and it is counted. */
  readonly capacity: number;
  /** An address that is not looked up for this long is withdrawn. */
  readonly forgetMs: number;
}

export interface AddressCacheStats {
  readonly addresses: number;
  readonly unanswered: number;
  /** Look-ups that found no room. */
  readonly refused: number;
}

/** An object in the identity's tables, with the addresses that answers gave it and no others. */
interface ObjectRef {
  readonly feed: ClusterUpsert["feed"];
  object: ClusterUpsert["object"];
  /** Answers that speak of it. */
  answers: number;
  /** Each with the number of answers that say so. */
  readonly owned: Map<string, number>;
}

interface CachedKey {
  readonly key: Key;
  seenMs: number;
  answered: boolean;
  /** What its last answer costs in memory, bytes, roughly. */
  cost: number;
  /** By uid: what the tables keep because of the port. */
  claims: ReadonlyMap<string, Claim>;
  readonly owned: CachedAddress;
}

/** What the tables hold of an address; shared by its keys. */
interface CachedAddress {
  keys: number;
  /** By uid: the owner, and what it needs. */
  claims: ReadonlyMap<string, Claim>;
  /** Former owners by uid, with the last end that was reported. */
  former: ReadonlyMap<string, number>;
  isReported: boolean;
}

export interface KeyChanges {
  readonly add: readonly Key[];
  readonly remove: readonly Key[];
}

const SAME_MS = 500;
/** As many as the tables remember of an address, and one who ends. */
const FORMER_MAX = 8;
const NOTHING: ReadonlyMap<string, Claim> = new Map();

export class AddressCache {
  readonly #options: AddressCacheOptions;
  readonly #known = new Map<string, CachedKey>();
  readonly #addresses = new Map<string, CachedAddress>();
  /** By uid. */
  readonly #refs = new Map<string, ObjectRef>();
  #unasked = new Map<string, Key>();
  #withdrawn = new Map<string, Key>();
  #clusterClaims = NOTHING;
  #unanswered = 0;
  #refused = 0;
  /** What all last answers cost. */
  #cost = 0;

  constructor(options: AddressCacheOptions) {
    this.#options = options;
  }

  stats(): AddressCacheStats {
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
    const owned = this.#addresses.get(address) ?? { keys: 0, claims: NOTHING, former: new Map(), isReported: false };
    owned.keys++;
    this.#addresses.set(address, owned);
    this.#known.set(text, { key, seenMs: nowMs, answered: false, cost: 0, claims: NOTHING, owned });
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
    const claims = new Map(node ? [nodeClaim(node, undefined, nowMs)] : []);
    this.#replace(this.#clusterClaims, claims, () => nowMs, nowMs);
    this.#clusterClaims = claims;
  }

  /**
   * @param receivedMs when the message came: its ages count back from there
   * @param cost of the answer in memory, bytes
   * @throws OverBudget when all answers together would be more than this many addresses can need
   */
  answer(answer: Answer, receivedMs: number, cost = 0): void {
    const known = this.#known.get(textOf(answer.key));
    if (!known) return; // withdrawn meanwhile
    if (cost > known.cost && this.#cost - known.cost + cost > budgetOf(this.#known.size)) {
      throw new OverBudget(`its answers are more than ${this.#known.size} addresses can need`);
    }
    this.#cost += cost - known.cost;
    known.cost = cost;
    const { owned } = known;
    if (!owned.isReported) this.#reportForgotten(answer, receivedMs);
    owned.isReported = true;
    this.#reportOwners(owned, answer, receivedMs);
    const claims = new Map(portClaims(answer, receivedMs));
    this.#replace(known.claims, claims, () => receivedMs, receivedMs);
    known.claims = claims;
    if (!known.answered) this.#unanswered--;
    known.answered = true;
  }

  #reportOwners(owned: CachedAddress, answer: Answer, receivedMs: number): void {
    const ended = answer.intervals.filter(({ untilAgeMs }) => untilAgeMs !== undefined);
    const endOf = (uid: string) => receivedMs - (ended.findLast((each) => ownerUid(each) === uid)?.untilAgeMs ?? 0);
    for (const interval of ended) this.#reportFormer(owned, answer.key.address, interval, receivedMs);
    const claims = new Map(ownerClaims(answer, receivedMs));
    this.#replace(owned.claims, claims, endOf, receivedMs);
    // Another replica may not know whom it does not list: that one's end is reported all the same, as of now.
    const gone = [...owned.claims].filter(([uid, { owns }]) => owns !== undefined && !claims.has(uid));
    const ends = [...gone.map(([uid]) => uid), ...ended.map(ownerUid)].map((uid) => [uid, endOf(uid)] as const);
    const earlier = [...owned.former].filter(([, untilMs]) => receivedMs < untilMs + GONE_MS);
    owned.claims = claims;
    owned.former = new Map([...earlier, ...ends].slice(-FORMER_MAX));
  }

  /**
   * Withdraws what was not looked up for a while. Nothing is reported of it any more, as if it never was. So it stays while the
   * tables know a former owner: that one would be the only one then.
   */
  forgetUnseen(nowMs: number): void {
    for (const [text, known] of this.#known) {
      if (nowMs - known.seenMs < this.#options.forgetMs) continue;
      if ([...known.owned.former.values()].some((untilMs) => nowMs < untilMs + GONE_MS)) continue;
      this.#known.delete(text);
      this.#cost -= known.cost;
      if (!known.answered) this.#unanswered--;
      if (!this.#unasked.delete(text)) this.#withdrawn.set(text, known.key);
      this.#release(known.claims, nowMs);
      if (--known.owned.keys > 0) continue;
      this.#addresses.delete(known.key.address);
      this.#release(known.owned.claims, nowMs);
    }
  }

  /** As if they had never been: nothing of them is needed, and they may come back. */
  #release(claims: ReadonlyMap<string, Claim>, nowMs: number): void {
    this.#replace(claims, NOTHING, (uid) => claims.get(uid)?.atMs ?? nowMs, nowMs);
  }

  /** @param endOf when an object of `before` stopped to be what it was, where `after` has it no more */
  #replace(
    before: ReadonlyMap<string, Claim>,
    after: ReadonlyMap<string, Claim>,
    endOf: (uid: string) => number,
    nowMs: number,
  ): void {
    const news = new Set([...after].filter(([uid, { owns }]) => this.#isNews(uid, owns)).map(([uid]) => uid));
    const startOf = new Map([...after].map(([uid, { atMs }]) => [uid, news.has(uid) ? atMs : nowMs]));
    for (const [uid, claim] of after) this.#count(uid, claim, 1);
    for (const [uid, claim] of before) this.#count(uid, claim, -1);
    // A port's last Service ends with its slice: while the Service is still known.
    for (const [uid, { feed, object }] of after) if (feed === "endpoint-slices") this.#reportAs(uid, object, nowMs);
    for (const uid of before.keys()) if (!after.has(uid)) this.#report(uid, endOf(uid));
    this.#reportRivals(after, news);
    for (const [uid, { object }] of after) this.#reportAs(uid, object, startOf.get(uid) ?? nowMs);
  }

  #reportAs(uid: string, object: ClusterUpsert["object"], atMs: number): void {
    const ref = this.#refs.get(uid);
    if (ref) ref.object = object;
    this.#report(uid, atMs);
  }

  /** Whether the tables do not know the object, or not that it has this address. */
  #isNews(uid: string, owns: string | undefined): boolean {
    const ref = this.#refs.get(uid);
    return ref === undefined || (owns !== undefined && !ref.owned.has(owns));
  }

  /** All of them have their address, whichever is terminating: the directory has reported it. */
  #reportRivals(after: ReadonlyMap<string, Claim>, news: ReadonlySet<string>): void {
    const owners = [...after].filter(([, { owns }]) => owns !== undefined);
    if (owners.length < 2) return;
    for (const [uid, { object, atMs }] of owners) {
      if (news.has(uid))
        this.#reportAs(uid, "terminating" in object ? { ...object, terminating: false } : object, atMs);
    }
  }

  #count(uid: string, { feed, object, owns }: Claim, by: number): void {
    const ref = this.#refs.get(uid) ?? { feed, object, answers: 0, owned: new Map<string, number>() };
    ref.answers += by;
    this.#refs.set(uid, ref);
    if (owns === undefined) return;
    const answers = (ref.owned.get(owns) ?? 0) + by;
    if (answers === 0) ref.owned.delete(owns);
    else ref.owned.set(owns, answers);
  }

  /** Reports to the tables how an object is now. */
  #report(uid: string, atMs: number): void {
    const ref = this.#refs.get(uid);
    if (!ref) return;
    const { feed, object, answers, owned } = ref;
    if (answers > 0) {
      const owning = { ...object, ...owningWords(feed, [...owned.keys()]) };
      this.#options.onChange({ feed, type: "upsert", atMs, object: owning } as ClusterChange);
      return;
    }
    this.#refs.delete(uid);
    this.#options.onChange({ feed, type: "remove", atMs, uid });
  }

  /** Somebody had the address until then: growth from before is nobody's that we could name. */
  #reportForgotten({ key, forgottenAgeMs }: Answer, receivedMs: number): void {
    if (forgottenAgeMs === undefined) return;
    const atMs = receivedMs - forgottenAgeMs;
    const object = { ...FORGOTTEN, uid: `forgotten ${textOf(key)}`, addresses: [key.address] };
    this.#options.onChange({ feed: "pods", type: "upsert", atMs, object });
    this.#options.onChange({ feed: "pods", type: "remove", atMs, uid: object.uid });
  }

  /** Under a uid of its own: the same owner may have another address now, or this one again. */
  #reportFormer(owned: CachedAddress, address: string, interval: Interval, receivedMs: number): void {
    const ownersUid = ownerUid(interval);
    const untilMs = receivedMs - (interval.untilAgeMs ?? 0);
    // An age that came over a network is not exact.
    if (untilMs <= (owned.former.get(ownersUid) ?? -Infinity) + SAME_MS) return;
    if (owned.claims.has(ownersUid)) return;
    const claim = ownerClaim(interval, address, receivedMs);
    if (!claim) return;
    const [, { feed, object, atMs }] = claim;
    const uid = `former ${ownersUid} ${address}`;
    const former = { ...object, ...owningWords(feed, [address]), uid };
    // Its zone is its node's, at the moment of the report.
    const node = interval.pod?.node;
    const itsNode = node && node.uid !== "" ? new Map([nodeClaim(node, undefined, receivedMs)]) : NOTHING;
    this.#replace(NOTHING, itsNode, () => receivedMs, receivedMs);
    if (feed === "pods") {
      // As one whose address is reported with its end, so that whoever has it now keeps it.
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
