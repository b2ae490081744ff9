/**
 * Faults that are known and not mended yet, by the check that finds them. A check stands here only with the number of its
 * point; whoever mends it takes it out, and the generator holds the mend from then on.
 */
import { FEATURES, type Feature } from "./generate.ts";

/** Checks of compare.ts that are not made, and why. */
export const KNOWN_CHECKS: Readonly<Record<string, string>> = {
  "no-port": "2: a connect that finds no port counts as cancelled",
  "active-opens": "2, 6: it is an attempt that the kernel does not count; a restored connection is an open",
  busy: "4: busy time of the connection before",
  "local-port": "4: local port of the connection before",
  reset: "5: aborts after a half close",
  "reset-sums": "5: records and edges differ about them",
  handshake: "8: TCP_DEFER_ACCEPT",
};

/** What programs do not contain, and why. */
export const KNOWN_FEATURES: { readonly [F in Feature]?: string } = {
  repair: "6: TCP_REPAIR",
};

export const KNOWN: ReadonlySet<string> = new Set(Object.keys(KNOWN_CHECKS));
export const SOUND_FEATURES: ReadonlySet<Feature> = new Set(FEATURES.filter((each) => !(each in KNOWN_FEATURES)));
