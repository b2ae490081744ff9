/**
 * The counters and histogram slots of one edge or flow, as what they mostly are: a dozen numbers that are not 0.
 *
 *   Sums ── page.indexes[at …]   which counter or slot, ascending
 *        └─ page.values[at …]    its number
 *
 * Dense, an edge would take 3.3 kB. In arrays of its own it would take as much in headers as its numbers do, so records
 * lie in pages, with as many places as they need: four more each time, from 32 on half as many again.
 */
import { HISTOGRAM_SCALE, HistogramSlot } from "../generated/layout.ts";
import type { EdgeGrowth } from "../model/edge.ts";
import type { BucketList } from "../model/flow.ts";
import { COUNTERS } from "./counters.ts";
import type { SlotRange } from "./slots.ts";

/** Behind the counters, by EDGE_COUNTERS, stand the slots; behind those, what an owner keeps for itself. */
const SLOTS_FROM = COUNTERS;
/** First index that is neither a counter nor a slot. */
export const OWN_FROM = SLOTS_FROM + HistogramSlot.SLOT_COUNT;

/** What a row says, as far as it is added up. */
export type CounterGrowth = Pick<EdgeGrowth, "counter">;
export type SlotGrowth = Pick<EdgeGrowth, "slotCount" | "slot" | "count">;

const PAGE_NUMBERS = 4_096;

/** Records of one width. */
interface Page {
  readonly values: Float64Array;
  readonly indexes: Uint16Array;
  readonly width: number;
}

interface RecordRoom {
  readonly page: Page;
  readonly at: number;
}

/** Hands out room for records, and takes it back. */
export class SumPages {
  readonly #free = new Map<number, RecordRoom[]>();
  /** The page that is being filled, by width, and how much of it is used. */
  readonly #open = new Map<number, { readonly page: Page; used: number }>();

  take(width: number): RecordRoom {
    const free = this.#free.get(width)?.pop();
    if (free !== undefined) return free;
    let open = this.#open.get(width);
    if (open === undefined || open.used === open.page.values.length) {
      const numbers = Math.max(1, Math.floor(PAGE_NUMBERS / width)) * width;
      open = { page: { values: new Float64Array(numbers), indexes: new Uint16Array(numbers), width }, used: 0 };
      this.#open.set(width, open);
    }
    open.used += width;
    return { page: open.page, at: open.used - width };
  }

  give(room: RecordRoom): void {
    const { width } = room.page;
    const free = this.#free.get(width);
    if (free === undefined) this.#free.set(width, [room]);
    else free.push(room);
  }
}

const NO_PAGE: Page = { values: new Float64Array(0), indexes: new Uint16Array(0), width: 0 };

export class Sums {
  readonly #pages: SumPages;
  #page = NO_PAGE;
  #at = 0;
  #length = 0;

  constructor(pages: SumPages) {
    this.#pages = pages;
  }

  /** Gives the room back; the sums are 0. */
  release(): void {
    this.#length = 0;
    if (this.#page !== NO_PAGE) this.#pages.give({ page: this.#page, at: this.#at });
    this.#page = NO_PAGE;
  }

  /** All are 0; the room stays. */
  clear(): void {
    this.#length = 0;
  }

  /** @param index of a counter, or from OWN_FROM on */
  get(index: number): number {
    const place = this.#find(index, 0);
    return this.#has(index, place) ? (this.#page.values[this.#at + place] as number) : 0;
  }

  /** @param index of a counter, or from OWN_FROM on */
  set(index: number, value: number): void {
    const place = this.#find(index, 0);
    if (this.#has(index, place)) this.#page.values[this.#at + place] = value;
    else if (value !== 0) this.#insert(place, index, value);
  }

  /** @param growth by EDGE_COUNTERS */
  addCounters(growth: Float64Array): void {
    let place = 0;
    for (let index = 0; index < COUNTERS; index++) {
      if (growth[index] !== 0) place = this.#add(place, index, growth[index] as number);
    }
  }

  addSlots(row: SlotGrowth): void {
    let place = 0;
    for (let i = 0; i < row.slotCount; i++) place = this.#add(place, SLOTS_FROM + row.slot(i), row.count(i));
  }

  /** Takes back what addSlots() has added. */
  subtractSlots(row: SlotGrowth): void {
    let place = 0;
    for (let i = 0; i < row.slotCount; i++) place = this.#add(place, SLOTS_FROM + row.slot(i), -row.count(i));
  }

  add(row: CounterGrowth & SlotGrowth): void {
    let place = 0;
    for (let index = 0; index < COUNTERS; index++) {
      const growth = row.counter(index);
      if (growth !== 0) place = this.#add(place, index, growth);
    }
    this.addSlots(row);
  }

  /** Takes back what add() has added. */
  subtract(row: CounterGrowth & SlotGrowth): void {
    let place = 0;
    for (let index = 0; index < COUNTERS; index++) {
      const growth = row.counter(index);
      if (growth !== 0) place = this.#add(place, index, -growth);
    }
    this.subtractSlots(row);
  }

  /** Writes all counters by EDGE_COUNTERS, those that are 0 too. */
  copyCounters(into: Float64Array): void {
    const { values, indexes } = this.#page;
    const end = this.#at + this.#length;
    into.fill(0);
    for (let at = this.#at; at < end; at++) {
      const index = indexes[at] as number;
      if (index >= COUNTERS) return;
      into[index] = values[at] as number;
    }
  }

  /** Writes the occupied buckets of one histogram as flat pairs (bucket, count), by ascending bucket. */
  copyBuckets({ from, to }: SlotRange, into: BucketList): void {
    const { values, indexes } = this.#page;
    const base = SLOTS_FROM + from;
    const end = this.#at + this.#length;
    let length = 0;
    for (let at = this.#at + this.#find(base, 0); at < end; at++) {
      const index = indexes[at] as number;
      if (index >= SLOTS_FROM + to) break;
      if (values[at] === 0) continue;
      into.pairs[length++] = index - base;
      into.pairs[length++] = values[at] as number;
    }
    into.length = length;
  }

  /** As copyBuckets(), in an array of its own. */
  buckets(range: SlotRange): number[] {
    const list = { pairs: [], length: 0 };
    this.copyBuckets(range, list);
    return list.pairs;
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

  /**
   * Adds to the number at `index`.
   *
   * @param near where the index before it was found: quickest when indexes ascend
   * @returns where it is
   */
  #add(near: number, index: number, by: number): number {
    const place = this.#find(index, near);
    const at = this.#at + place;
    if (this.#has(index, place)) this.#page.values[at] = (this.#page.values[at] as number) + by;
    else this.#insert(place, index, by);
    return place;
  }

  /** The first place with this index or a higher one, searched from `near` on where that is possible. */
  #find(index: number, near: number): number {
    const { indexes } = this.#page;
    const at = this.#at;
    let place = near > 0 && (indexes[at + near - 1] as number) >= index ? 0 : near;
    while (place < this.#length && (indexes[at + place] as number) < index) place++;
    return place;
  }

  #has(index: number, place: number): boolean {
    return place < this.#length && this.#page.indexes[this.#at + place] === index;
  }

  #insert(place: number, index: number, value: number): void {
    if (this.#length === this.#page.width) this.#widen();
    const { values, indexes } = this.#page;
    const at = this.#at + place;
    const end = this.#at + this.#length;
    values.copyWithin(at + 1, at, end);
    indexes.copyWithin(at + 1, at, end);
    values[at] = value;
    indexes[at] = index;
    this.#length++;
  }

  #widen(): void {
    const [before, from] = [this.#page, this.#at];
    const { page, at } = this.#pages.take(nextWidth(before.width));
    page.values.set(before.values.subarray(from, from + this.#length), at);
    page.indexes.set(before.indexes.subarray(from, from + this.#length), at);
    if (before !== NO_PAGE) this.#pages.give({ page: before, at: from });
    this.#page = page;
    this.#at = at;
  }
}

function nextWidth(width: number): number {
  return width < 32 ? width + 4 : Math.ceil((width * 3) / 8) * 4;
}

/** Geometric middle of a bucket, (2^(i/4), 2^((i+1)/4)], in microseconds. */
function bucketMiddle(bucket: number): number {
  return 2 ** ((bucket + 0.5) / 2 ** HISTOGRAM_SCALE);
}
