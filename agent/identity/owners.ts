/**
 * Who owned an address when: address → intervals of time, each with one owner.
 *
 * A watch tells late: an owner has an address before it is told, and lost it before that is told. So an
 * interval reaches from when the owner can have had the address at the earliest to when its end was told;
 * two of them may overlap, and growth in both is nobody's. Ended intervals are kept for a grace period;
 * afterwards only the time is kept, so that older growth finds nobody instead of the wrong one.
 * Times are CLOCK_BOOTTIME milliseconds and come in as arguments.
 */
import { type Claimant, WaitingClaims } from "./waiting.ts";

/** Compared by identity: an owner that changed its name is a new value under the same uid. */
export interface Owner extends Claimant {
  /** Unix milliseconds: of two that claim one address, the later made wins. */
  readonly createdMs: number;
}

interface Interval<O extends Owner> {
  owner: O;
  /** Not before this; counts against other owners only. */
  readonly fromMs: number;
  /** Infinity while it lasts. */
  untilMs: number;
}

interface Address<O extends Owner> {
  /** By time; only the last may be open. */
  readonly intervals: Interval<O>[];
  /** The latest end among intervals that are forgotten. */
  forgottenUntilMs: number;
}

/**
 * `owner`: the only one known of in that time; `settled` says that no later answer for later growth can differ
 * until the table changes; `ending` that its end lies in that time and no next owner is known yet, who may
 * have had the address before that time was over. `several`: the growth cannot be told apart. `none`: nobody
 * is known.
 */
export type Ownership<O> =
  | { readonly state: "owner"; readonly owner: O; readonly settled: boolean; readonly ending: boolean }
  | { readonly state: "several"; readonly owners: readonly O[] }
  /** Growth from so long ago that an owner of that time may be forgotten. */
  | { readonly state: "forgotten" }
  | { readonly state: "none" };

const NONE = { state: "none" } as const;
const FORGOTTEN = { state: "forgotten" } as const;
/** More than this many owners of one address within the grace period: the oldest is forgotten early. */
const INTERVALS_PER_ADDRESS = 8;

export class OwnerTable<O extends Owner> {
  readonly #addresses = new Map<string, Address<O>>();
  readonly #waiting = new WaitingClaims<O>();
  readonly #graceMs: number;
  readonly #capacity: number;
  /** Addresses with an ended interval, in the order of the ends. */
  #ended: { readonly address: string; readonly untilMs: number }[] = [];
  /** The latest end among addresses that are forgotten altogether: any address may be one of them. */
  #forgottenUntilMs = -Infinity;
  #refused = 0;

  constructor(graceMs: number, capacity: number) {
    this.#graceMs = graceMs;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#addresses.size;
  }

  /** Claims that found no room: those addresses are answered `none`. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Gives `address` to `owner`, or replaces the value of the owner with the same uid. For a claim that is new:
   * one that is only repeated is renew()ed, since another may have the address by now.
   *
   * @param fromMs when the owner can have had it at the earliest; not later than `atMs`, when that was told
   */
  claim(address: string, owner: O, atMs: number, fromMs: number = atMs): void {
    const entry = this.#entry(address);
    if (!entry) return;
    const last = entry.intervals.at(-1);
    if (last?.untilMs === Infinity) {
      if (last.owner.uid === owner.uid) {
        last.owner = owner;
        return;
      }
      // Of one that is going the watch may tell while its successor has the address already.
      if (last.owner.createdMs > owner.createdMs) {
        this.#waiting.add(address, owner, fromMs);
        return;
      }
      this.#end(address, last, atMs);
    }
    this.#open(entry, owner, fromMs);
  }

  /** Replaces the value of the owner with the same uid, if that has the address or waits for it. */
  renew(address: string, owner: O): void {
    const last = this.#addresses.get(address)?.intervals.at(-1);
    if (last?.untilMs === Infinity && last.owner.uid === owner.uid) last.owner = owner;
    else this.#waiting.renew(address, owner);
  }

  /** Tells of an owner when it has ended already. Who has the address now keeps it: the two may overlap. */
  addFormer(address: string, owner: O, fromMs: number, untilMs: number): void {
    const entry = this.#entry(address);
    if (!entry) return;
    const next = entry.intervals.findIndex((interval) => interval.untilMs > untilMs);
    entry.intervals.splice(next < 0 ? entry.intervals.length : next, 0, { owner, fromMs, untilMs });
    this.#ended.push({ address, untilMs });
    if (entry.intervals.length > INTERVALS_PER_ADDRESS) this.#forgetFirst(entry);
  }

  /** Ends the ownership or the claim of `uid`; otherwise nothing happens. */
  release(address: string, uid: string, atMs: number): void {
    const entry = this.#addresses.get(address);
    const last = entry?.intervals.at(-1);
    if (!entry || last?.untilMs !== Infinity || last.owner.uid !== uid) {
      this.#waiting.remove(address, uid);
      return;
    }
    this.#end(address, last, atMs);
    const next = this.#waiting.take(address);
    if (next) this.#open(entry, next.owner, next.fromMs);
  }

  /** Who owned `address` during (sinceMs, untilMs]. */
  ownerOf(address: string, sinceMs: number, untilMs: number): Ownership<O> {
    const entry = this.#addresses.get(address);
    if (!entry) return NONE;
    if (entry.forgottenUntilMs > sinceMs) return FORGOTTEN;
    let only: Interval<O> | undefined;
    let isFollowed = false;
    for (const interval of entry.intervals) {
      if (interval.untilMs <= sinceMs) continue;
      // The first cannot have come too late: nobody else is known from before it.
      if (only === undefined) only = interval;
      else if (interval.fromMs < untilMs) return several(entry.intervals, sinceMs, untilMs);
      else isFollowed = true;
    }
    if (only === undefined) return NONE;
    const ending = only.untilMs <= untilMs && !isFollowed;
    return { state: "owner", owner: only.owner, settled: only.untilMs === Infinity, ending };
  }

  /** Forgets the owners whose time ended before the grace period. Cost: what there is to forget. */
  sweep(nowMs: number): void {
    let done = 0;
    for (const { address, untilMs } of this.#ended) {
      if (untilMs + this.#graceMs > nowMs) break;
      done++;
      const entry = this.#addresses.get(address);
      while (entry?.intervals[0] && entry.intervals[0].untilMs <= untilMs) this.#forgetFirst(entry);
      if (entry?.intervals.length !== 0) continue;
      this.#addresses.delete(address);
      this.#forgottenUntilMs = Math.max(this.#forgottenUntilMs, entry.forgottenUntilMs);
    }
    if (done > 0) this.#ended = this.#ended.slice(done);
  }

  /** Made if there was none; undefined, and counted, when there is no room for it. */
  #entry(address: string): Address<O> | undefined {
    const known = this.#addresses.get(address);
    if (known) return known;
    if (this.#addresses.size >= this.#capacity) {
      this.#refused++;
      return undefined;
    }
    const entry = { intervals: [], forgottenUntilMs: this.#forgottenUntilMs };
    this.#addresses.set(address, entry);
    return entry;
  }

  #open(entry: Address<O>, owner: O, fromMs: number): void {
    entry.intervals.push({ owner, fromMs, untilMs: Infinity });
    if (entry.intervals.length > INTERVALS_PER_ADDRESS) this.#forgetFirst(entry);
  }

  #end(address: string, interval: Interval<O>, atMs: number): void {
    interval.untilMs = atMs;
    this.#ended.push({ address, untilMs: atMs });
  }

  #forgetFirst(entry: Address<O>): void {
    const first = entry.intervals.shift();
    if (first) entry.forgottenUntilMs = Math.max(entry.forgottenUntilMs, first.untilMs);
  }
}

function several<O extends Owner>(all: readonly Interval<O>[], sinceMs: number, untilMs: number): Ownership<O> {
  const owners = all
    .filter((interval) => interval.untilMs > sinceMs)
    .filter(({ fromMs }, i) => i === 0 || fromMs < untilMs)
    .map(({ owner }) => owner);
  return { state: "several", owners };
}
