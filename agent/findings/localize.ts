/**
 * What went wrong between many ends → the fewest places that explain it. Pure, no clock.
 *
 * Takes the place that explains most, then the one that explains most of the rest, as long as the likelihood grows by more than the price
 * of a place. After each step it looks whether another place explains better what one of them was taken for: a node in the place of its
 * two pods, or one of its pods in the place of a node. An agent looks at the traffic of its own node, `flowspan diagnose` at that of all.
 *
 * Must not guess: where another place explains as much, it is named too (`alternatives`), and the verdict is not known.
 */
import { type Explanation, type Observation, type Place, PlaceModel, weighed } from "./place-model.ts";

/** A place that adds trouble to all that passes it. */
export interface Suspect {
  readonly place: string;
  /** What it adds to the share of trials that go wrong. */
  readonly rate: number;
  /** Trials that passed it. */
  readonly trials: number;
  /** How many of those that went wrong it explains. */
  readonly explained: number;
  /** How much better all is explained with it than without: a difference of log-likelihoods. */
  readonly evidence: number;
  /** Places that may be faulty in its stead, the likeliest eight first. None: it is this one. */
  readonly alternatives: readonly string[];
}

export interface LocalizeOptions {
  /** The share of trials that goes wrong where nothing is faulty. */
  readonly healthyRate: number;
  /** How many bad trials come together; 1 where each is for itself. */
  readonly burst: number;
  /** By which share one place's rates differ from one observation to the next. */
  readonly unevenness: number;
  /** How much a place must add to the log-likelihood to be named. */
  readonly price: number;
  /** What a place costs besides: those that are rarely at fault cost more. */
  readonly surcharge: (place: string) => number;
  /** Another place is an alternative where it explains less by no more than this. */
  readonly margin: number;
  /** A place that adds less to the share of trials that go wrong is not named. */
  readonly minRate: number;
  /** Places at most. */
  readonly most: number;
}

export const LOCALIZE: LocalizeOptions = {
  healthyRate: 2e-4,
  burst: 2,
  unevenness: 0.15,
  price: 8,
  surcharge: () => 0,
  margin: 4,
  minRate: 5e-4,
  most: 5,
};

/** The fewest places that explain `observations`, the one with the most evidence first. */
export function localize(observations: readonly Observation[], options: Partial<LocalizeOptions> = {}): Suspect[] {
  const search = new Search(observations, { ...LOCALIZE, ...options });
  const { minRate } = search.options;
  return search
    .suspects(search.best())
    .filter(({ rate }) => rate >= minRate)
    .sort((a, b) => b.evidence - a.evidence);
}

/** Places, and how well they explain all, less their price. */
interface Guess {
  readonly places: readonly Place[];
  readonly explanation: Explanation;
  readonly score: number;
}

class Search {
  readonly options: LocalizeOptions;
  /** What is weighed. */
  readonly #model: PlaceModel;
  /** What was counted. */
  readonly #counted: PlaceModel;
  readonly #guesses = new Map<string, Guess>();

  constructor(observations: readonly Observation[], options: LocalizeOptions) {
    this.options = options;
    const tried = observations.filter(({ trials }) => trials > 0);
    const { healthyRate, burst, unevenness } = options;
    const light = tried.map((each) => weighed(each, burst, unevenness));
    this.#model = new PlaceModel(light, healthyRate);
    this.#counted = new PlaceModel(tried, healthyRate);
  }

  /** Steps to the best of the guesses next to it, until none is better. */
  best(): Guess {
    let now = this.#guess([]);
    for (;;) {
      const next = highest([...this.#larger(now), ...now.places.flatMap((place) => this.#otherwise(now, place))]);
      if (next === undefined || next.score <= now.score + TIE || next.places.length > this.options.most) return now;
      now = next;
    }
  }

  suspects(guess: Guess): Suspect[] {
    const names = guess.places.map(({ name }) => name);
    const counted = this.#counted.explain(this.#counted.places.filter(({ name }) => names.includes(name)));
    const rates = new Map(counted.places.map(({ place, rate }) => [place.name, { rate, trials: place.trials }]));
    return guess.places.map((place): Suspect => {
      const { name } = place;
      const { rate, trials } = rates.get(name) ?? { rate: 0, trials: 0 };
      const without = this.#guess(guess.places.filter((each) => each !== place));
      const alternatives = this.#otherwise(guess, place)
        .filter(({ score }) => score >= guess.score - this.options.margin)
        .sort((a, b) => b.score - a.score)
        .map(({ places }) => places.filter((each) => !guess.places.includes(each)))
        // None: without it nearly as likely, which its price has decided already. Elsewhere: another fault, not this one.
        .filter((others) => others.length > 0 && others.every((other) => haveCommon(other, place)))
        .map((others) => others.map((other) => other.name).join(" and "));
      const evidence = guess.explanation.evidence - without.explanation.evidence;
      return {
        place: name,
        rate,
        trials,
        explained: rate * trials,
        evidence,
        alternatives: [...new Set(alternatives)].slice(0, ALTERNATIVES),
      };
    });
  }

  /** One place more. */
  #larger(guess: Guess): Guess[] {
    return this.#likeliest(guess).map((place) => this.#guess([...guess.places, place]));
  }

  /** Guesses without `place`: with nothing, another one, or two others in its stead; or with one for it and another place. */
  #otherwise(guess: Guess, place: Place): Guess[] {
    const without = this.#guess(guess.places.filter((each) => each !== place));
    const swapped = this.#larger(without).filter(({ places }) => !places.includes(place));
    const split = swapped.flatMap((each) => this.#larger(each)).filter(({ places }) => !places.includes(place));
    const merged = without.places.flatMap((other) =>
      this.#larger(this.#guess(without.places.filter((each) => each !== other))),
    );
    return [without, ...swapped, ...split, ...merged.filter(({ places }) => !places.includes(place))];
  }

  /** The places that explain most of what a guess leaves. */
  #likeliest({ places, explanation }: Guess): Place[] {
    return this.#model.places
      .filter((place) => !places.includes(place))
      .map((place) => ({ place, gain: this.#model.gain(place, explanation) }))
      .filter(({ gain }) => gain > 0)
      .sort((a, b) => b.gain - a.gain)
      .slice(0, LIKELIEST)
      .map(({ place }) => place);
  }

  /** Ways to one set of places are many: each is weighed once. */
  #guess(places: readonly Place[]): Guess {
    const key = places
      .map(({ name }) => name)
      .sort()
      .join("\n");
    const known = this.#guesses.get(key);
    if (known) return known;
    const explanation = this.#model.explain(places);
    const { price, surcharge } = this.options;
    const prices = places.reduce((sum, { name }) => sum + price + surcharge(name), 0);
    const guess = { places, explanation, score: explanation.evidence - prices };
    this.#guesses.set(key, guess);
    return guess;
  }
}

const LIKELIEST = 6;
const ALTERNATIVES = 8;
/** Likelihoods that differ by less are equal. */
const TIE = 1e-6;

/** Whether something that went wrong passed both. */
function haveCommon(a: Place, b: Place): boolean {
  return a.through.some((i) => b.through.includes(i));
}

function highest(guesses: readonly Guess[]): Guess | undefined {
  return guesses.reduce<Guess | undefined>((best, each) => (best && best.score >= each.score ? best : each), undefined);
}
