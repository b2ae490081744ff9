/**
 * Which attribute sets may have series of their own: the heaviest, as many as the limit allows.
 *
 * Weight (edges/weight.ts) fades by a tenth each exchange. A set must weigh twice what it replaces, so that two of
 * about one weight do not swap for ever: each swap ends a series. A set without a series of its own goes to the
 * overflow series of its Resource and role, where every byte is still counted.
 */

const FADING = 0.9;
const HYSTERESIS = 2;

/** What is ranked. budget.ts changes `weight` and `admitted` only. */
export interface Contender {
  weight: number;
  admitted: boolean;
  readonly eligible: boolean;
}

export class Budget<Ranked extends Contender> {
  readonly #limit: number;
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
    if (this.#admitted >= this.#limit) {
      this.overflowed++;
      return;
    }
    set.admitted = true;
    this.#admitted++;
  }

  /** A set has no edges any more. */
  leave(set: Ranked): void {
    if (!set.admitted) return;
    set.admitted = false;
    this.#admitted--;
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
    const next = challengers.values();
    for (let room = this.#limit - this.#admitted; room > 0; room--) {
      const set = next.next().value;
      if (set === undefined) return [];
      this.enter(set);
    }
    return this.#replaceLightest(admitted.filter(mayLeave), next);
  }

  #replaceLightest(admitted: Ranked[], challengers: Iterator<Ranked, undefined>): Ranked[] {
    admitted.sort((a, b) => a.weight - b.weight);
    const demoted: Ranked[] = [];
    for (const lightest of admitted) {
      const challenger = challengers.next().value;
      if (challenger === undefined || challenger.weight <= HYSTERESIS * lightest.weight) break;
      this.leave(lightest);
      this.enter(challenger);
      this.overflowed++;
      demoted.push(lightest);
    }
    return demoted;
  }
}
