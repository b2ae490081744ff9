/**
 * Which owner had an address when, for every address of a cluster: the same rules as agent/naming/owners.ts,
 * laid out for 100,000 addresses whose owner mostly never changes.
 *
 * An address that had one owner costs one entry of one map; only others have lists of intervals. Ended
 * intervals are kept for a grace period, then only the time is. Times are CLOCK_BOOTTIME milliseconds.
 */
import { type Claimant, givesWay, isPast } from "../../naming/claims.ts";

export interface AddressOwner extends Claimant {
  /** When it can have had its addresses at the earliest, unless `#since` has another time for one. */
  readonly fromMs: number;
}

export interface OwnedInterval<O> {
  readonly owner: O;
  readonly fromMs: number;
  /** Infinity while it lasts. */
  readonly untilMs: number;
}

/** More than this many former owners of one address within the grace period: the oldest is forgotten early. */
const FORMER_MAX = 7;

export class Ownership<O extends AddressOwner> {
  readonly #graceMs: number;
  readonly #owners = new Map<string, O>();
  /** Where an owner has an address for a shorter time than it is known. */
  readonly #since = new Map<string, number>();
  /** Who else has the address, in the order of the claims. */
  readonly #others = new Map<string, readonly OwnedInterval<O>[]>();
  readonly #former = new Map<string, OwnedInterval<O>[]>();
  /** The latest end that is forgotten of an address; of those without an entry no end is. */
  readonly #forgotten = new Map<string, number>();
  /** The latest end among addresses that are forgotten altogether: a new one may be one of them. */
  #forgottenUntilMs = -Infinity;
  /** In the order of the ends. */
  #ended: { readonly address: string; readonly untilMs: number }[] = [];

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Addresses that have an owner now. */
  get size(): number {
    return this.#owners.size;
  }

  /**
   * For a claim that is new, not for one that is only repeated.
   *
   * @param fromMs when the owner can have had it at the earliest; not later than `atMs`, when that was reported
   * @returns whether anything new is reported of the address
   */
  claim(address: string, owner: O, atMs: number, fromMs: number): boolean {
    const present = this.#present(address);
    if (present.some((interval) => interval.owner === owner)) return false;
    if (present.some((interval) => isPast(owner, interval.owner, interval.fromMs))) {
      this.#remember(address, { owner, fromMs, untilMs: atMs });
      return true;
    }
    const staying = present.filter((interval) => !givesWay(interval.owner));
    const ended = present.filter((interval) => givesWay(interval.owner));
    if (present.length === 0 && !this.#former.has(address) && this.#forgottenUntilMs !== -Infinity) {
      this.#forgotten.set(address, this.#forgottenUntilMs);
    }
    for (const interval of ended) this.#remember(address, { ...interval, untilMs: atMs });
    this.#keep(address, [...staying, { owner, fromMs, untilMs: Infinity }]);
    return true;
  }

  /** @returns whether `owner` had the address */
  release(address: string, owner: O, atMs: number): boolean {
    const present = this.#present(address);
    const own = present.find((interval) => interval.owner === owner);
    if (!own) return false;
    this.#remember(address, { ...own, untilMs: atMs });
    const staying = present.filter((interval) => interval !== own);
    this.#keep(address, staying);
    return true;
  }

  /** Tells of an owner when it has ended already. Who has the address now keeps it. */
  addFormer(address: string, owner: O, fromMs: number, untilMs: number): void {
    this.#remember(address, { owner, fromMs, untilMs });
  }

  /** Those that have it now; mostly one or none. */
  ownersOf(address: string): readonly O[] {
    return this.#present(address).map(({ owner }) => owner);
  }

  /** All that is known of the address, by time. */
  intervals(address: string): readonly OwnedInterval<O>[] {
    return [...(this.#former.get(address) ?? []), ...this.#present(address)];
  }

  /** Owners whose time ended before this are forgotten; undefined: none was. */
  forgottenUntil(address: string): number | undefined {
    const forgotten = this.#forgotten.get(address);
    if (forgotten !== undefined || this.#owners.has(address) || this.#former.has(address)) return forgotten;
    return this.#forgottenUntilMs === -Infinity ? undefined : this.#forgottenUntilMs;
  }

  /** Forgets the owners whose time ended before the grace period. Cost: what there is to forget. */
  sweep(nowMs: number): void {
    let done = 0;
    for (const { address, untilMs } of this.#ended) {
      if (untilMs + this.#graceMs > nowMs) break;
      done++;
      const former = this.#former.get(address);
      while (former?.[0] && former[0].untilMs <= untilMs) this.#forgetFirst(address, former);
      if (former?.length === 0) this.#forgetHistory(address);
    }
    if (done > 0) this.#ended = this.#ended.slice(done);
  }

  #present(address: string): readonly OwnedInterval<O>[] {
    const owner = this.#owners.get(address);
    if (!owner) return [];
    const first = { owner, fromMs: this.#since.get(address) ?? owner.fromMs, untilMs: Infinity };
    return [first, ...(this.#others.get(address) ?? [])];
  }

  #keep(address: string, [first, ...others]: readonly OwnedInterval<O>[]): void {
    if (first) this.#owners.set(address, first.owner);
    else this.#owners.delete(address);
    if (first && first.owner.fromMs !== first.fromMs) this.#since.set(address, first.fromMs);
    else this.#since.delete(address);
    if (others.length > 0) this.#others.set(address, others);
    else this.#others.delete(address);
  }

  #remember(address: string, interval: OwnedInterval<O>): void {
    if (!this.#former.has(address) && !this.#owners.has(address) && this.#forgottenUntilMs !== -Infinity) {
      this.#forgotten.set(address, this.#forgottenUntilMs);
    }
    const former = this.#former.get(address) ?? [];
    former.push(interval);
    if (former.length > FORMER_MAX) this.#forgetFirst(address, former);
    this.#former.set(address, former);
    this.#ended.push({ address, untilMs: interval.untilMs });
  }

  #forgetFirst(address: string, former: OwnedInterval<O>[]): void {
    const first = former.shift();
    if (first) this.#forgotten.set(address, Math.max(this.#forgotten.get(address) ?? -Infinity, first.untilMs));
  }

  #forgetHistory(address: string): void {
    this.#former.delete(address);
    if (this.#owners.has(address)) return;
    this.#forgottenUntilMs = Math.max(this.#forgottenUntilMs, this.#forgotten.get(address) ?? -Infinity);
    this.#forgotten.delete(address);
  }
}
