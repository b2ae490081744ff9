/**
 * The three histograms of an edge or a flow, kept as what they mostly are: a few occupied slots.
 *
 * Dense they would take 3 kB; an edge between two hosts rarely fills more than a dozen slots.
 */
import { HISTOGRAM_SCALE } from "../generated/layout.ts";

/** Where one histogram lies among the slots: `from` inclusive, `to` exclusive. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

export class SlotCounts {
  /** Slot, count, slot, count, … by ascending slot; no count is 0. */
  #pairs: number[] = [];

  /** @param slots flat pairs (slot, count), quickest when they ascend */
  add(slots: Uint32Array): void {
    const pairs = this.#pairs;
    let missing: number[] | undefined;
    let at = 0;
    for (let i = 0; i < slots.length; i += 2) {
      const slot = slots[i] as number;
      at = this.#find(slot, at);
      if (pairs[at] === slot) {
        pairs[at + 1] = (pairs[at + 1] as number) + (slots[i + 1] as number);
      } else {
        missing ??= [];
        missing.push(slot, slots[i + 1] as number);
      }
    }
    if (missing !== undefined) this.#pairs = merge(pairs, missing);
  }

  /** Takes back what add() has added. */
  subtract(slots: Uint32Array): void {
    const pairs = this.#pairs;
    let at = 0;
    for (let i = 0; i < slots.length; i += 2) {
      at = this.#find(slots[i] as number, at);
      const left = (pairs[at + 1] as number) - (slots[i + 1] as number);
      if (left === 0) pairs.splice(at, 2);
      else pairs[at + 1] = left;
    }
  }

  clear(): void {
    this.#pairs = [];
  }

  /** Counts of one histogram from its bucket 0 to its last occupied one. */
  dense(range: SlotRange): Float64Array {
    const pairs = this.#pairs;
    const begin = this.#find(range.from, 0);
    const end = this.#find(range.to, begin);
    if (begin === end) return EMPTY;
    const counts = new Float64Array((pairs[end - 2] as number) - range.from + 1);
    for (let i = begin; i < end; i += 2) counts[(pairs[i] as number) - range.from] = pairs[i + 1] as number;
    return counts;
  }

  /**
   * @param share 0.5 for the median
   * @returns geometric middle of the bucket that holds it, in microseconds; undefined when there are no values
   */
  quantile(range: SlotRange, share: number): number | undefined {
    const pairs = this.#pairs;
    const begin = this.#find(range.from, 0);
    const end = this.#find(range.to, begin);
    let total = 0;
    for (let i = begin; i < end; i += 2) total += pairs[i + 1] as number;
    let rank = Math.max(1, Math.ceil(share * total));
    for (let i = begin; i < end; i += 2) {
      rank -= pairs[i + 1] as number;
      if (rank <= 0) return bucketMiddle((pairs[i] as number) - range.from);
    }
    return undefined;
  }

  /** Position of the first pair at or above `slot`, searched from `at` on where that is possible. */
  #find(slot: number, at: number): number {
    const pairs = this.#pairs;
    let position = at > 0 && (pairs[at - 2] as number) >= slot ? 0 : at;
    while (position < pairs.length && (pairs[position] as number) < slot) position += 2;
    return position;
  }
}

/** Both lists of pairs as one, ascending, in an array of just that length: thousands of these are kept. */
function merge(pairs: readonly number[], more: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const list of [pairs, more]) {
    for (let i = 0; i < list.length; i += 2) {
      const slot = list[i] as number;
      counts.set(slot, (counts.get(slot) ?? 0) + (list[i + 1] as number));
    }
  }
  const merged = new Array<number>(2 * counts.size);
  let at = 0;
  for (const [slot, count] of [...counts].sort(([a], [b]) => a - b)) {
    merged[at++] = slot;
    merged[at++] = count;
  }
  return merged;
}

const EMPTY = new Float64Array(0);

/** Geometric middle of a bucket, (2^(i/4), 2^((i+1)/4)], in microseconds. */
export function bucketMiddle(bucket: number): number {
  return 2 ** ((bucket + 0.5) / 2 ** HISTOGRAM_SCALE);
}
