/**
 * Faults that are known and not mended yet, by the check that finds them. A check stands here only with the number of its
 * point; whoever mends it takes it out, and the generator holds the mend from then on.
 */
import { FEATURES, type Feature } from "./lives/life.ts";

/** Checks of compare.ts that are not made, and why. */
export const KNOWN_CHECKS: Readonly<Record<string, string>> = {};

/**
 * Checks that differ in about one program of a thousand, where nobody knows yet whether flowspan or the oracle is wrong: the
 * sample of CI prints them and does not count them, `make torture` counts each.
 */
export const UNSURE_CHECKS: Readonly<Record<string, string>> = {
  reset: "seed 590190 --from 0 --programs 199, upgrade: a client's RST that is not on the wire",
  "reset-sums": "the same",
  segments: "seed 590190 --from 260 --programs 321, gap: one segment received in place of seven",
  record: "seeds 922 and 941 --from 260 --programs 321, gap: an end in the moment in which the probe goes",
};

/** What programs do not contain, and why. */
export const KNOWN_FEATURES: { readonly [F in Feature]?: string } = {};

export const KNOWN: ReadonlySet<string> = new Set(Object.keys(KNOWN_CHECKS));
export const SOUND_FEATURES: ReadonlySet<Feature> = new Set(FEATURES.filter((each) => !(each in KNOWN_FEATURES)));
