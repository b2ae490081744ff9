/** A finding that goes on, as metrics and `flowspan top` show it. Only types live here. */
import type { FindingName } from "../generated/findings.ts";
import type { Attributes } from "./attribute.ts";
import type { LocalEnd } from "./names.ts";

export interface ActiveFinding {
  readonly name: FindingName;
  /** Joins its start and its end. */
  readonly id: string;
  /** Whose Resource it has. */
  readonly subject: LocalEnd;
  /** End of the first interval that showed it, Unix nanoseconds. */
  readonly sinceUnixNs: bigint;
  /** Evidence so far: counts are sums since then, the rest is of the last interval. */
  readonly evidence: Attributes;
}

/** What `flowspan top` shows of one; plain JSON. */
export interface FindingSnapshot {
  readonly name: FindingName;
  readonly id: string;
  readonly severity: "warn" | "error";
  /** Short text for people: `shop/cart-7d9f`. */
  readonly subject: string;
  readonly sinceUnixMs: number;
  readonly meaning: string;
  readonly cause: string;
  readonly command: string;
  readonly evidence: Attributes;
}

/** How many have started since the agent did, of one name. */
export interface StartedFindings {
  readonly name: FindingName;
  readonly severity: "warn" | "error";
  readonly count: number;
}
