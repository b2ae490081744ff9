/**
 * Who owned an address when: address → intervals of time, each with one owner.
 *
 * An address is owned from the moment a watch said so until the owner ended or a later one took it.
 * Ended intervals are kept for a grace period, so that growth from before the end still finds its owner;
 * afterwards only the time is kept, so that older growth finds nobody instead of the wrong one.
 * Times are CLOCK_BOOTTIME milliseconds and come in as arguments.
 */

/** Compared by identity: an owner that changed its name is a new value under the same uid. */
export interface Owner {
  readonly uid: string;
  /** Unix milliseconds: of two that claim one address, the later made wins. */
  readonly createdMs: number;
}

interface Interval<O extends Owner> {
  owner: O;
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
 * `owner`: the only one in that time; `settled` says that no later answer for later growth can differ
 * until the table changes. `several`: the growth cannot be told apart. `none`: nobody is known.
 */
export type Ownership<O> =
  | { readonly state: "owner"; readonly owner: O; readonly settled: boolean }
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

  /** Gives `address` to `owner`, or replaces the value of the owner with the same uid. */
  claim(address: string, owner: O, atMs: number): void {
    const entry = this.#addresses.get(address);
    if (!entry) {
      if (this.#addresses.size >= this.#capacity) this.#refused++;
      else this.#addresses.set(address, { intervals: [open(owner, atMs)], forgottenUntilMs: this.#forgottenUntilMs });
      return;
    }
    const last = entry.intervals.at(-1);
    if (last?.untilMs === Infinity) {
      if (last.owner.uid === owner.uid) {
        last.owner = owner;
        return;
      }
      // The watch may still repeat an address of a pod that is going while its successor has it already.
      if (last.owner.createdMs > owner.createdMs) return;
      this.#end(address, last, atMs);
    }
    entry.intervals.push(open(owner, atMs));
    if (entry.intervals.length > INTERVALS_PER_ADDRESS) this.#forgetFirst(entry);
  }

  /** Ends the ownership if `uid` has it; otherwise nothing happens. */
  release(address: string, uid: string, atMs: number): void {
    const last = this.#addresses.get(address)?.intervals.at(-1);
    if (last?.untilMs === Infinity && last.owner.uid === uid) this.#end(address, last, atMs);
  }

  /** Who owned `address` during (sinceMs, nowMs]. */
  ownerOf(address: string, sinceMs: number, nowMs: number): Ownership<O> {
    const entry = this.#addresses.get(address);
    if (!entry) return NONE;
    let candidates = entry.intervals.filter(({ untilMs }) => untilMs > sinceMs);
    // A watch tells of an owner later than its first traffic, so a start only counts against another owner.
    if (candidates.length > 1) candidates = candidates.filter(({ fromMs }, i) => i === 0 || fromMs < nowMs);

    const [only] = candidates;
    if (entry.forgottenUntilMs > sinceMs) return FORGOTTEN;
    if (!only) return NONE;
    if (candidates.length > 1) return { state: "several", owners: candidates.map(({ owner }) => owner) };
    return { state: "owner", owner: only.owner, settled: only.untilMs === Infinity };
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

  #end(address: string, interval: Interval<O>, atMs: number): void {
    interval.untilMs = atMs;
    this.#ended.push({ address, untilMs: atMs });
  }

  #forgetFirst(entry: Address<O>): void {
    const first = entry.intervals.shift();
    if (first) entry.forgottenUntilMs = Math.max(entry.forgottenUntilMs, first.untilMs);
  }
}

function open<O extends Owner>(owner: O, atMs: number): Interval<O> {
  return { owner, fromMs: atMs, untilMs: Infinity };
}
