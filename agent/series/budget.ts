/**
 * Which attribute sets may have series of their own: the heaviest, as many as the limit allows, and of each owner (a
 * Resource: a pod, a unit) as many as it has a right to.
 *
 * Weight (edges/weight.ts) fades by a tenth each exchange. A set must weigh twice what it replaces, so that two of
 * about one weight do not swap for ever: each swap ends a series. A set without a series of its own goes to the
 * overflow series of its Resource and role, where every byte is still counted.
 *
 * Room is shared as long as there is some. When it is used up, each owner has a right to the limit divided by the owners. One
 * that has less takes room from those that have more, whatever theirs weigh: so nobody's many heavy peers push out others'.
 */

const FADING = 0.9;
const HYSTERESIS = 2;

/** What is ranked. budget.ts changes `weight` and `admitted` only. */
export interface Contender {
  /** Equal objects are one owner. */
  readonly owner: object;
  weight: number;
  admitted: boolean;
  readonly eligible: boolean;
}

/** Of one owner, sets that may be admitted. */
interface Owned {
  sets: number;
  admitted: number;
}

export class Budget<Ranked extends Contender> {
  readonly #limit: number;
  readonly #owners = new Map<object, Owned>();
  #admitted = 0;
  /** How often a set was sent to an overflow series, at its coming or later. */
  overflowed = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get admitted(): number {
    return this.#admitted;
  }

  /** A set has come: it is admitted while there is room. */
  enter(set: Ranked): void {
    if (!set.eligible) return;
    this.#ownedBy(set).sets++;
    if (this.#admitted < this.#limit) this.#admit(set, 1);
    else this.overflowed++;
  }

  /** A set has no edges any more. */
  leave(set: Ranked): void {
    if (!set.eligible) return;
    if (set.admitted) this.#admit(set, -1);
    const owned = this.#ownedBy(set);
    owned.sets--;
    if (owned.sets === 0) this.#owners.delete(set.owner);
  }

  /**
   * Fades all weights and changes which sets are admitted.
   *
   * @param sets all of them
   * @param mayLeave whether a set's series may end now: not while any of its growth is in doubt
   * @returns sets that are not admitted any more
   */
  rebalance(sets: Iterable<Ranked>, mayLeave: (set: Ranked) => boolean): Ranked[] {
    const challengers: Ranked[] = [];
    const admitted: Ranked[] = [];
    for (const set of sets) {
      set.weight *= FADING;
      if (set.admitted) admitted.push(set);
      else if (set.eligible && set.weight > 0) challengers.push(set);
    }
    if (challengers.length === 0) return [];

    challengers.sort((a, b) => b.weight - a.weight);
    const waiting = this.#fillRoom(challengers);
    if (waiting.length === 0) return [];
    const lightest = admitted.filter(mayLeave).sort((a, b) => a.weight - b.weight);
    return [...this.#giveRights(lightest, waiting), ...this.#replaceLightest(lightest, waiting)];
  }

  /** Room goes to owners that have less than their right, then to the heaviest. @returns who still waits, the heaviest first */
  #fillRoom(challengers: readonly Ranked[]): Ranked[] {
    for (const atMost of [this.#right, Infinity])
      for (const set of challengers) {
        if (this.#admitted >= this.#limit) break;
        if (!set.admitted && this.#ownedBy(set).admitted < atMost) this.#admit(set, 1);
      }
    return challengers.filter(({ admitted }) => !admitted);
  }

  get #right(): number {
    return Math.floor(this.#limit / this.#owners.size);
  }

  /** The heaviest sets of owners that have less than their right take the place of the lightest of those that have more. */
  #giveRights(lightest: readonly Ranked[], challengers: readonly Ranked[]): Ranked[] {
    const right = this.#right;
    const demoted: Ranked[] = [];
    let next = 0;
    for (const set of challengers) {
      if (this.#ownedBy(set).admitted >= right) continue;
      while (next < lightest.length && this.#ownedBy(lightest[next] as Ranked).admitted <= right) next++;
      const given = lightest[next++];
      if (given === undefined) break;
      this.#swap(given, set);
      demoted.push(given);
    }
    return demoted;
  }

  /** The heaviest of the others take the place of what is lighter by far: their owner's, or of owners that have more than their right. */
  #replaceLightest(lightest: readonly Ranked[], challengers: readonly Ranked[]): Ranked[] {
    const right = Math.floor(this.#limit / this.#owners.size);
    const waiting = challengers.filter(({ admitted }) => !admitted);
    const demoted: Ranked[] = [];
    let next = 0;
    for (const set of lightest) {
      if (!set.admitted) continue;
      const challenger = waiting[next];
      if (challenger === undefined || challenger.weight <= HYSTERESIS * set.weight) break;
      if (challenger.owner !== set.owner && this.#ownedBy(set).admitted <= right) continue;
      next++;
      this.#swap(set, challenger);
      demoted.push(set);
    }
    return demoted;
  }

  #swap(demoted: Ranked, admitted: Ranked): void {
    this.#admit(demoted, -1);
    this.#admit(admitted, 1);
    this.overflowed++;
  }

  #admit(set: Ranked, change: 1 | -1): void {
    set.admitted = change === 1;
    this.#admitted += change;
    this.#ownedBy(set).admitted += change;
  }

  #ownedBy({ owner }: Ranked): Owned {
    let owned = this.#owners.get(owner);
    if (owned === undefined) {
      owned = { sets: 0, admitted: 0 };
      this.#owners.set(owner, owned);
    }
    return owned;
  }
}
