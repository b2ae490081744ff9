/**
 * The kernel's neighbour tables → what has found no room in each since the exchange before. The kernel counts since the machine
 * started. A table that is read for the first time has no growth yet.
 */
import type { NeighbourTable } from "../model/kernel-evidence.ts";
import type { NeighbourTableEvidence } from "./evidence.ts";

export class NeighbourTableGrowths {
  readonly #overflows = new Map<NeighbourTable["family"], number>();

  /** @param tables of one exchange; a family that was not read has no growth */
  take(tables: readonly NeighbourTable[]): NeighbourTableEvidence[] {
    return tables.flatMap(({ family, entries, thresholds, overflows }) => {
      const before = this.#overflows.get(family);
      this.#overflows.set(family, overflows);
      if (before === undefined || overflows < before) return [];
      return [{ family, entries, thresholds, overflows: overflows - before }];
    });
  }
}
