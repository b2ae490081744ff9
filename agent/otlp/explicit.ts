/**
 * From the kernel's histograms in microseconds to OTLP's explicit buckets in seconds.
 *
 * A bound is a power of two of microseconds, where one of the kernel's buckets ends: each of its counts goes whole into one
 * explicit bucket, so counts are exact, as the sum is. Upper bounds are inclusive in both.
 *
 *      kernel, µs     | … 2^9.75 | 2^10 |  2^10.25 … 2^11 |        slot 39 ends at 2^10
 *      explicit, s    |──── le 0.001024 ─|── le 0.002048 ─|
 */
import type { BucketList } from "../model/flow.ts";
import type { WireWriter } from "./wire.ts";

/** Kernel slots to a doubling. */
const PER_DOUBLING = 4;

/** Where explicit buckets end. The last bucket has no bound. */
export interface ExplicitBounds {
  /** In seconds, ascending. */
  readonly seconds: readonly number[];
  /** For each bound the first slot beyond it. */
  readonly slots: readonly number[];
  /** Field explicit_bounds of HistogramDataPoint. */
  readonly bytes: Uint8Array;
}

/** From 2^`from` µs to 2^`to` µs, in steps of `step` doublings; below the kernel's last slot, which takes what is longer. */
function powers(from: number, to: number, step = 1): ExplicitBounds {
  const exponents = Array.from({ length: (to - from) / step + 1 }, (_, i) => from + i * step);
  const seconds = exponents.map((exponent) => 2 ** exponent / 1e6);
  const bytes = Buffer.alloc(3 + 8 * seconds.length);
  // Packed doubles; with 16 to 255 of them the length takes two bytes.
  bytes.writeUInt8(0x3a, 0);
  bytes.writeUInt8(((8 * seconds.length) & 0x7f) | 0x80, 1);
  bytes.writeUInt8((8 * seconds.length) >> 7, 2);
  for (const [i, bound] of seconds.entries()) bytes.writeDoubleLE(bound, 3 + 8 * i);
  return { seconds, slots: exponents.map((exponent) => exponent * PER_DOUBLING), bytes };
}

export const EXPLICIT_BOUNDS = {
  /** 64 µs to 33.6 s: a SYN that is sent again waits 1, 3, 7, 15 and 31 s. */
  handshake: powers(6, 25),
  /** 16 µs to 4.2 s. */
  rtt: powers(4, 22),
  /** 256 µs to 3.2 days, each bound four times the one before. */
  duration: powers(8, 38, 2),
} as const;

/** Room for bucket counts and bounds of one point, at most. */
export function explicitRoom({ seconds, bytes }: ExplicitBounds): number {
  return 3 + 8 * (seconds.length + 1) + bytes.length;
}

/** Counts in each bucket, one more than there are bounds. */
export function explicitCounts({ pairs, length }: ReadBuckets, { slots }: ExplicitBounds): number[] {
  const counts = new Array<number>(slots.length + 1).fill(0);
  let bucket = 0;
  for (let i = 0; i < length; i += 2) {
    while (bucket < slots.length && (pairs[i] as number) >= (slots[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + (pairs[i + 1] as number);
  }
  return counts;
}

/** A BucketList that is only read. */
type ReadBuckets = Readonly<Omit<BucketList, "pairs">> & { readonly pairs: readonly number[] };

/** Fields bucket_counts and explicit_bounds of HistogramDataPoint. */
export function writeExplicit(w: WireWriter, buckets: ReadBuckets, bounds: ExplicitBounds): void {
  const counts = explicitCounts(buckets, bounds);
  w.byte(0x32);
  w.varint(8 * counts.length);
  for (const count of counts) w.integer64(count);
  w.raw(bounds.bytes);
}
