/**
 * Faults that are known and not mended yet, by the check that finds them. A check stands here only with the number of its
 * point; whoever mends it takes it out, and the generator holds the mend from then on.
 */
import { FEATURES, type Feature } from "./lives/life.ts";

/** Checks of compare.ts that are not made, and why. */
export const KNOWN_CHECKS: Readonly<Record<string, string>> = {};

/** What programs do not contain, and why. */
export const KNOWN_FEATURES: { readonly [F in Feature]?: string } = {};

export const KNOWN: ReadonlySet<string> = new Set(Object.keys(KNOWN_CHECKS));
export const SOUND_FEATURES: ReadonlySet<Feature> = new Set(FEATURES.filter((each) => !(each in KNOWN_FEATURES)));
