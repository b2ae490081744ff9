/**
 * Who owned an address when: address → intervals of time, each with one owner.
 *
 * A watch reports late: both that an owner has an address, and that it has lost it. So an interval begins when the owner
 * can have had the address at the earliest, and ends when its end was reported. Two intervals may overlap, also while both
 * last; growth in both has no owner. The table keeps ended intervals for a grace period. Afterwards it keeps
 * only the time, so that older growth finds no owner instead of the wrong one.
 * Times are CLOCK_BOOTTIME milliseconds and come in as arguments.
 */
import { type Claimant, givesWay, HANDOVER_MS, isPast } from "./claims.ts";

/** Compared by identity: an owner that changed its name is a new value under the same uid. */
export type Owner = Claimant;

interface Interval<O extends Owner> {
  owner: O;
  /** Not before this; counts against other owners only. */
  readonly fromMs: number;
  /** Infinity while it lasts. */
  untilMs: number;
}

interface Address<O extends Owner> {
  /** By their ends; those that last come last, in the order of their claims. */
  intervals: Interval<O>[];
  /** The latest end among intervals that are forgotten. */
  forgottenUntilMs: number;
}

/**
 * `owner`: the only known owner in that time. `final`: until the table changes, later growth has the same owner.
 * `ending`: its end was reported in that time, or so shortly after it that the end may lie in it. Another owner may have had the
 * address before that time was over, and may not be reported yet, also where a later one is. `several`: the growth cannot be divided; where that is final,
 * all of them last. `none`: no owner is known.
 */
export type Ownership<O> =
  | {
      readonly state: "owner";
      readonly owner: O;
      readonly fromMs: number;
      /** Infinity while it lasts. */
      readonly untilMs: number;
      readonly final: boolean;
      readonly ending: boolean;
    }
  | { readonly state: "several"; readonly owners: readonly O[]; readonly final: boolean }
  /** Growth from so long ago that an owner of that time may be forgotten. */
  | { readonly state: "forgotten" }
  | { readonly state: "none" };

const NONE = { state: "none" } as const;
const FORGOTTEN = { state: "forgotten" } as const;
/** More than this many ended intervals of one address within the grace period: the oldest is forgotten early. */
const ENDED_PER_ADDRESS = 7;

export class OwnerTable<O extends Owner> {
  readonly #addresses = new Map<string, Address<O>>();
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
   * Gives `address` to `owner`, or replaces the value of the owner with the same uid. For a new claim only: renew() is
   * for a repeated one, since another owner may have the address by now.
   *
   * @param fromMs when the owner can have had it at the earliest; not later than `atMs`, when that was reported
   */
  claim(address: string, owner: O, atMs: number, fromMs: number = atMs): void {
    const entry = this.#entry(address);
    if (!entry) return;
    const present = entry.intervals.filter(isOpen);
    const own = present.find((interval) => interval.owner.uid === owner.uid);
    if (own) {
      own.owner = owner;
      return;
    }
    if (present.some((interval) => isPast(owner, interval.owner, interval.fromMs))) {
      this.#remember(address, entry, { owner, fromMs, untilMs: atMs });
      return;
    }
    for (const interval of present) if (givesWay(interval.owner)) this.#end(address, entry, interval, atMs);
    const claimed = { owner, fromMs, untilMs: Infinity };
    // Mostly the only one. A list that grows from empty takes four times the room of a list of one.
    if (entry.intervals.length === 0) entry.intervals = [claimed];
    else entry.intervals.push(claimed);
  }

  /** Replaces the value of the owner with the same uid, if that has the address. */
  renew(address: string, owner: O): void {
    const own = this.#open(this.#addresses.get(address), owner.uid);
    if (own) own.owner = owner;
  }

  /** Adds an owner that has ended already. The present owner keeps the address: the two may overlap. */
  addFormer(address: string, owner: O, fromMs: number, untilMs: number): void {
    const entry = this.#entry(address);
    if (entry) this.#remember(address, entry, { owner, fromMs, untilMs });
  }

  /** Ends the ownership of `uid`; otherwise nothing happens. */
  release(address: string, uid: string, atMs: number): void {
    const entry = this.#addresses.get(address);
    const own = this.#open(entry, uid);
    if (entry && own) this.#end(address, entry, own, atMs);
  }

  /** Those that have `address` now; mostly one or none. */
  ownersOf(address: string): readonly O[] {
    const entry = this.#addresses.get(address);
    return entry ? entry.intervals.filter(isOpen).map(({ owner }) => owner) : [];
  }

  /** Who owned `address` during (sinceMs, untilMs]. */
  ownerOf(address: string, sinceMs: number, untilMs: number): Ownership<O> {
    const entry = this.#addresses.get(address);
    if (!entry) return NONE;
    if (entry.forgottenUntilMs > sinceMs) return FORGOTTEN;
    const since = entry.intervals.filter((interval) => interval.untilMs > sinceMs);
    const during = since.filter(({ fromMs }) => fromMs < untilMs);
    const [first] = since;
    if (first === undefined) return NONE;
    // The first cannot have come too late, since no other is known from before it. Some may be reported at about the
    // same time, as after an outage: then any of them may be the first.
    const firstMs = Math.min(...since.map(({ fromMs }) => fromMs));
    const having = during.length > 0 ? during : since.filter(({ fromMs }) => fromMs < firstMs + HANDOVER_MS);
    const isFollowed = having.length < since.length;
    const final = having.every(isOpen) && !isFollowed;
    if (having.length > 1) return { state: "several", owners: having.map(({ owner }) => owner), final };
    const [only = first] = having;
    const ending = only.untilMs <= untilMs + HANDOVER_MS;
    return { state: "owner", ...only, final, ending };
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

  #open(entry: Address<O> | undefined, uid: string): Interval<O> | undefined {
    return entry?.intervals.find((interval) => isOpen(interval) && interval.owner.uid === uid);
  }

  #end(address: string, entry: Address<O>, interval: Interval<O>, atMs: number): void {
    entry.intervals.splice(entry.intervals.indexOf(interval), 1);
    interval.untilMs = atMs;
    this.#remember(address, entry, interval);
  }

  #remember(address: string, entry: Address<O>, ended: Interval<O>): void {
    const next = entry.intervals.findIndex((interval) => interval.untilMs > ended.untilMs);
    entry.intervals.splice(next < 0 ? entry.intervals.length : next, 0, ended);
    this.#ended.push({ address, untilMs: ended.untilMs });
    const tooMany = entry.intervals[ENDED_PER_ADDRESS];
    if (tooMany && !isOpen(tooMany)) this.#forgetFirst(entry);
  }

  #forgetFirst(entry: Address<O>): void {
    const first = entry.intervals.shift();
    if (first) entry.forgottenUntilMs = Math.max(entry.forgottenUntilMs, first.untilMs);
  }
}

function isOpen({ untilMs }: Pick<Interval<Owner>, "untilMs">): boolean {
  return untilMs === Infinity;
}
