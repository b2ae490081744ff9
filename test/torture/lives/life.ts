/** What all lives share: the features that a program may have, and what a life takes from its program. */
import type { Random } from "../program.ts";

/** What programs may contain; a fault that is known and not mended yet keeps its feature off. */
export const FEATURES = [
  ...(["traffic", "refused", "abandoned", "backlog", "filter", "loss", "ports", "reuse", "relisten"] as const),
  ...(["halfclose", "fork", "pass", "cgroup", "reuseport", "mptcp", "fastopen", "kill", "forge", "repair"] as const),
  ...(["churn", "barrier"] as const),
] as const;
export type Feature = (typeof FEATURES)[number];

export interface Context {
  readonly random: Random;
  readonly has: (feature: Feature) => boolean;
  /** Slots that no other life of this program uses; the same number in every puppet. */
  slot(): number;
  port(): number;
}

/** The lines of one life, in their order. */
export type Life = (context: Context) => string[];
