/**
 * The three histograms of an edge or a flow, kept as what they mostly are: a few occupied slots.
 *
 * Dense they would take 3 kB; an edge between two hosts rarely fills more than a dozen slots.
 */
import { DURATION_SLOTS, HANDSHAKE_SLOTS, HISTOGRAM_SCALE, HistogramSlot, RTT_SLOTS } from "../generated/layout.ts";
import type { EdgeGrowth } from "../model/edge.ts";

/** Where one histogram lies among the slots: `from` inclusive, `to` exclusive. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

export const HANDSHAKE: SlotRange = slotRange(HistogramSlot.SLOT_HANDSHAKE, HANDSHAKE_SLOTS);
export const RTT: SlotRange = slotRange(HistogramSlot.SLOT_RTT, RTT_SLOTS);
export const DURATION: SlotRange = slotRange(HistogramSlot.SLOT_DURATION, DURATION_SLOTS);

function slotRange(from: number, length: number): SlotRange {
  return { from, to: from + length };
}

/** More than there are slots: a count and its slot are one number, `count * UNIT + slot`. */
const UNIT = 512;

/** The histograms of a row. */
export type SlotGrowth = Pick<EdgeGrowth, "slotCount" | "slot" | "count">;

export class SlotCounts {
  /** By ascending slot; no count is 0. Numbers in pairs would take twice the room. */
  #packed: number[] = [];

  /** Adds a row's histograms; quickest when its slots ascend, as the probe's do. */
  add(row: SlotGrowth): void {
    const packed = this.#packed;
    let missing: number[] | undefined;
    let at = 0;
    for (let i = 0; i < row.slotCount; i++) {
      const slot = row.slot(i);
      const growth = row.count(i) * UNIT;
      at = this.#find(slot, at);
      if (at < packed.length && slotOf(packed[at] as number) === slot) {
        packed[at] = (packed[at] as number) + growth;
      } else {
        missing ??= [];
        missing.push(growth + slot);
      }
    }
    if (missing !== undefined) this.#packed = merge(packed, missing);
  }

  /** Takes back what add() has added. */
  subtract(row: SlotGrowth): void {
    const packed = this.#packed;
    let at = 0;
    for (let i = 0; i < row.slotCount; i++) {
      at = this.#find(row.slot(i), at);
      const left = (packed[at] as number) - row.count(i) * UNIT;
      if (left < UNIT) packed.splice(at, 1);
      else packed[at] = left;
    }
  }

  clear(): void {
    this.#packed = [];
  }

  /** One histogram as flat pairs (bucket, count), by ascending bucket; no count is 0. */
  buckets(range: SlotRange): number[] {
    const packed = this.#packed;
    const begin = this.#find(range.from, 0);
    const end = this.#find(range.to, begin);
    const pairs = new Array<number>(2 * (end - begin));
    for (let i = begin; i < end; i++) {
      const one = packed[i] as number;
      pairs[2 * (i - begin)] = slotOf(one) - range.from;
      pairs[2 * (i - begin) + 1] = countOf(one);
    }
    return pairs;
  }

  /**
   * @param share 0.5 for the median
   * @returns geometric middle of the bucket that holds it, in microseconds; undefined when there are no values
   */
  quantile(range: SlotRange, share: number): number | undefined {
    const pairs = this.buckets(range);
    let total = 0;
    for (let i = 0; i < pairs.length; i += 2) total += pairs[i + 1] as number;
    let rank = Math.max(1, Math.ceil(share * total));
    for (let i = 0; i < pairs.length; i += 2) {
      rank -= pairs[i + 1] as number;
      if (rank <= 0) return bucketMiddle(pairs[i] as number);
    }
    return undefined;
  }

  /** Position of the first number whose slot is `slot` or above, searched from `at` on where that is possible. */
  #find(slot: number, at: number): number {
    const packed = this.#packed;
    let position = at > 0 && slotOf(packed[at - 1] as number) >= slot ? 0 : at;
    while (position < packed.length && slotOf(packed[position] as number) < slot) position++;
    return position;
  }
}

/** The low bits, which `&` sees also where the number has more than 32. */
function slotOf(packed: number): number {
  return packed & (UNIT - 1);
}

function countOf(packed: number): number {
  return (packed - slotOf(packed)) / UNIT;
}

/** Both lists as one, ascending, in an array of just that length: thousands of these are kept. */
function merge(packed: readonly number[], more: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const list of [packed, more]) {
    for (const one of list) counts.set(slotOf(one), (counts.get(slotOf(one)) ?? 0) + countOf(one));
  }
  const merged = new Array<number>(counts.size);
  let at = 0;
  for (const [slot, count] of [...counts].sort(([a], [b]) => a - b)) merged[at++] = count * UNIT + slot;
  return merged;
}

/** Geometric middle of a bucket, (2^(i/4), 2^((i+1)/4)], in microseconds. */
function bucketMiddle(bucket: number): number {
  return 2 ** ((bucket + 0.5) / 2 ** HISTOGRAM_SCALE);
}
