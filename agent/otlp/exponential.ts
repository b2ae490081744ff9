/**
 * From the kernel's histograms in microseconds to OTLP's in seconds.
 *
 * The kernel's buckets are a quarter of a doubling wide, (2^(i/4), 2^((i+1)/4)] µs. A second is
 * 2^19.93 µs, so in seconds their bounds fall between those of OTLP's scale 2 (4 · 19.93 = 79.73 is no
 * integer): shifting the index there would move every value by 4.6 % on top of a bucket's own 9.1 %.
 * At scale 3 the middle of every kernel bucket falls almost on the middle of an OTLP bucket:
 *
 *      kernel, µs        |········ i ········|········ i+1 ······|
 *      scale 3, s      |····| 2i-159 |····| 2i-157 |····|          (0.4 % beside the middle)
 *
 * So each bucket's count goes whole into bucket 2i − 159 at scale 3. Counts and the sum stay exact, and
 * the middle that a reader takes for a value is at most 8.7 % off it: better than the 9.1 % that the
 * kernel's own buckets give. The bound is a test (exponential.test.ts), not only this comment.
 */

import type { BucketList, Histogram } from "../model/flow.ts";

/** Scale of every exponential histogram that we export. */
export const SECONDS_SCALE = 3;

/** OTLP's bucket index at SECONDS_SCALE for the kernel's bucket `slot`. */
export function secondsIndex(slot: number): number {
  return 2 * slot - 159;
}

/** Where a histogram's buckets begin and end, and what their counts add up to. */
export interface CountSpan {
  /** First and last bucket with a count; -1 when there is none. */
  first: number;
  last: number;
  count: number;
  /** Length of the packed bucket counts at SECONDS_SCALE, in bytes. */
  packedBytes: number;
}

/** A BucketList that is only read. */
type ReadBuckets = Readonly<Omit<BucketList, "pairs">> & { readonly pairs: readonly number[] };

/** @param buckets as in Histogram */
export function spanOf(buckets: Histogram["buckets"]): CountSpan {
  const span = { first: -1, last: -1, count: 0, packedBytes: 0 };
  measureSpan({ pairs: buckets, length: buckets.length }, span);
  return span;
}

/** Writes into `span` what spanOf() says of the buckets. */
export function measureSpan({ pairs, length }: ReadBuckets, span: CountSpan): void {
  let count = 0;
  let extraBytes = 0;
  for (let i = 1; i < length; i += 2) {
    const value = pairs[i] as number;
    count += value;
    for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) extraBytes++;
  }
  span.first = length === 0 ? -1 : (pairs[0] as number);
  span.last = length === 0 ? -1 : (pairs[length - 2] as number);
  span.count = count;
  span.packedBytes = length === 0 ? 0 : 2 * (span.last - span.first) + 1 + extraBytes;
}
