/** Dropped packets of the last seconds, since what a drop causes comes later. Pure but for its own state, which is bounded. */
import type { EvidenceGrowth } from "../model/evidence-growth.ts";

const KEPT_NS = 4_000_000_000n;
/** Of one interval. */
const ROWS_MAX = 10_000;

export class PastDrops {
  #past: { readonly bootNs: bigint; readonly rows: readonly EvidenceGrowth[] }[] = [];

  /** @param rows of the interval that ended at `bootNs` @returns those before it, and always of the interval before */
  before(rows: readonly EvidenceGrowth[], bootNs: bigint): EvidenceGrowth[] {
    const last = this.#past.at(-1);
    const past = this.#past.filter((each) => each === last || bootNs - each.bootNs <= KEPT_NS);
    this.#past = [...past, { bootNs, rows: rows.slice(0, ROWS_MAX) }];
    return past.flatMap((each) => each.rows);
  }
}
