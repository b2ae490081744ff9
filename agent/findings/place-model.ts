/**
 * How well faulty places explain what went wrong between many ends: a likelihood. Pure, no clock.
 *
 * Each observation is one direction of traffic and the places that it passes: its pods, its nodes, their pair. What went wrong in it
 * is a Poisson count of mean `trials × (healthy rate + the rate of each faulty place that it passes)`. Trouble comes in bursts, and
 * one place does not treat all traffic alike, so counts vary more than that: weighed() makes them smaller.
 *
 * Where nothing went wrong, the likelihood asks only how much passed each place. So the cost follows what went wrong, not the traffic.
 *
 * Knows no search: localize.ts asks it.
 */

/** Traffic of some time in one direction. */
export interface Observation {
  /** What it passes, each once: `node:a`, `pod:shop/cart-1`, … No two places have one name. */
  readonly places: readonly string[];
  /** What was tried: segments, connects, requests. */
  readonly trials: number;
  /** How many of them went wrong. */
  readonly bad: number;
}

export interface Place {
  readonly name: string;
  /** The observations with something wrong that pass it, by index. */
  readonly through: readonly number[];
  /** Trials that passed it, also those of other observations. */
  readonly trials: number;
}

/** Some places, each at the rate that fits best beside the others. */
export interface Explanation {
  /** The log-likelihood of what was seen, less that of places without any fault. */
  readonly evidence: number;
  readonly places: readonly { readonly place: Place; readonly rate: number }[];
  /** Of each observation with something wrong, the share of trials that goes wrong by this explanation. */
  readonly expected: Float64Array;
}

/**
 * Counts as small as what they tell: a count of n varies by `burst × n + (unevenness × n)²`, and not by n.
 *
 * @param burst how many bad trials come together, 1 where each is for itself
 * @param unevenness by which share rates of one place differ from one observation to the next
 */
export function weighed({ places, trials, bad }: Observation, burst: number, unevenness: number): Observation {
  const weight = 1 / (burst + unevenness * unevenness * bad);
  return { places, trials: trials * weight, bad: bad * weight };
}

export class PlaceModel {
  /** Those that something went wrong through. */
  readonly places: readonly Place[];
  /** Those with something wrong. */
  readonly #observations: readonly Observation[];
  readonly #healthyRate: number;

  /** @param healthyRate the share of trials that goes wrong where nothing is faulty, above 0 */
  constructor(observations: readonly Observation[], healthyRate: number) {
    this.#observations = observations.filter(({ bad }) => bad > 0);
    this.#healthyRate = healthyRate;
    const places = new Map<string, { readonly name: string; readonly through: number[]; trials: number }>();
    for (const [i, { places: names }] of this.#observations.entries())
      for (const name of names) {
        const place = places.get(name);
        if (place) place.through.push(i);
        else places.set(name, { name, through: [i], trials: 0 });
      }
    for (const { places: names, trials } of observations)
      for (const name of names) {
        const place = places.get(name);
        if (place) place.trials += trials;
      }
    this.places = [...places.values()];
  }

  /** The rates of `places` that are likeliest together: expectation maximization, which never makes one negative. */
  explain(places: readonly Place[]): Explanation {
    let rates = places.map(({ through, trials }) => sum(through, (i) => this.#at(i).bad) / trials);
    let expected = this.#expect(places, rates);
    for (let round = 0; round < ROUNDS && places.length > 0; round++) {
      const next = places.map(({ through, trials }, of) => {
        const rate = rates[of] as number;
        return (rate * sum(through, (i) => this.#at(i).bad / (expected[i] as number))) / trials;
      });
      const moved = Math.max(...next.map((rate, of) => Math.abs(rate - (rates[of] as number)) / (rate + TINY)));
      rates = next;
      expected = this.#expect(places, rates);
      if (moved < CLOSE) break;
    }
    const evidence = this.#evidence(expected, places, rates);
    return { places: places.map((place, of) => ({ place, rate: rates[of] as number })), expected, evidence };
  }

  #evidence(expected: Float64Array, places: readonly Place[], rates: readonly number[]): number {
    let evidence = 0;
    for (const [i, { bad }] of this.#observations.entries())
      evidence += bad * Math.log((expected[i] as number) / this.#healthyRate);
    for (const [of, { trials }] of places.entries()) evidence -= trials * (rates[of] as number);
    return evidence;
  }

  /** What the log-likelihood grows by where `place` is faulty beside an explanation, whose rates stay. 0 where it explains nothing. */
  gain({ through, trials }: Place, { expected }: Explanation): number {
    // The slope falls ever more slowly as the rate grows, so that each of Newton's steps stays below the likeliest rate.
    let rate = 0;
    for (let step = 0; step < STEPS; step++) {
      let slope = -trials;
      let bend = 0;
      for (const i of through) {
        const wrong = (expected[i] as number) + rate;
        const term = this.#at(i).bad / wrong;
        slope += term;
        bend += term / wrong;
      }
      if (slope <= 0) break;
      rate += slope / bend;
      if (slope / bend < CLOSEST * rate) break;
    }
    if (rate === 0) return 0;
    const explained = sum(through, (i) => this.#at(i).bad * Math.log1p(rate / (expected[i] as number)));
    return explained - trials * rate;
  }

  #expect(places: readonly Place[], rates: readonly number[]): Float64Array {
    const expected = new Float64Array(this.#observations.length).fill(this.#healthyRate);
    for (const [of, { through }] of places.entries())
      for (const i of through) expected[i] = (expected[i] as number) + (rates[of] as number);
    return expected;
  }

  #at(i: number): Observation {
    return this.#observations[i] as Observation;
  }
}

const ROUNDS = 200;
const CLOSE = 1e-4;
const TINY = 1e-12;
const STEPS = 40;
const CLOSEST = 1e-9;

function sum(indices: readonly number[], of: (i: number) => number): number {
  let total = 0;
  for (const i of indices) total += of(i);
  return total;
}
