/**
 * Which places may have series of their own: the heaviest, as many as the limit allows.
 *
 * Weight (edges/weight.ts) fades by a tenth each exchange. A place must weigh twice what it replaces, so that two near the edge do not swap for ever:
 * each swap ends a series. What has no series of its own goes to the remainder of its Resource and role,
 * where every byte is still counted.
 */

const FADING = 0.9;
const HYSTERESIS = 2;
/** What is ranked. budget.ts changes `weight` and `resident` only. */
export interface Contender {
  weight: number;
  resident: boolean;
  readonly eligible: boolean;
}

export class Budget<Place extends Contender> {
  readonly #limit: number;
  #residents = 0;
  /** How often a place was sent to the remainder, at its coming or later. */
  turnedAway = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get residents(): number {
    return this.#residents;
  }

  /** A place has come: it is resident while there is room. */
  enter(place: Place): void {
    if (!place.eligible) return;
    if (this.#residents >= this.#limit) {
      this.turnedAway++;
      return;
    }
    place.resident = true;
    this.#residents++;
  }

  /** A place has no edges any more. */
  leave(place: Place): void {
    if (!place.resident) return;
    place.resident = false;
    this.#residents--;
  }

  /**
   * Fades all weights and changes who is resident.
   *
   * @param places all of them
   * @param mayLeave whether a place's series may end now: not while any of its growth is in doubt
   * @returns places that are not resident any more
   */
  rebalance(places: Iterable<Place>, mayLeave: (place: Place) => boolean): Place[] {
    const challengers: Place[] = [];
    const residents: Place[] = [];
    for (const place of places) {
      place.weight *= FADING;
      if (place.resident) residents.push(place);
      else if (place.eligible && place.weight > 0) challengers.push(place);
    }
    if (challengers.length === 0) return [];

    challengers.sort((a, b) => b.weight - a.weight);
    const next = challengers.values();
    for (let room = this.#limit - this.#residents; room > 0; room--) {
      const place = next.next().value;
      if (place === undefined) return [];
      this.enter(place);
    }
    return this.#replaceLightest(residents.filter(mayLeave), next);
  }

  #replaceLightest(residents: Place[], challengers: Iterator<Place, undefined>): Place[] {
    residents.sort((a, b) => a.weight - b.weight);
    const demoted: Place[] = [];
    for (const lightest of residents) {
      const challenger = challengers.next().value;
      if (challenger === undefined || challenger.weight <= HYSTERESIS * lightest.weight) break;
      this.leave(lightest);
      this.enter(challenger);
      this.turnedAway++;
      demoted.push(lightest);
    }
    return demoted;
  }
}
