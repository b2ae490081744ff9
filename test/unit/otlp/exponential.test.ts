/** The error that a histogram's way from the kernel's microseconds to OTLP's seconds may add. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { DURATION_SLOTS, HISTOGRAM_SCALE } from "../../../agent/generated/layout.ts";
import { SECONDS_SCALE, secondsIndex, spanOf } from "../../../agent/otlp/exponential.ts";

/** The kernel's bucket of a value, from the contract: 2^(i/4) < v <= 2^((i+1)/4). */
function slotOf(valueUs: number): number {
  let slot = 0;
  while (valueUs > 2 ** ((slot + 1) / 2 ** HISTOGRAM_SCALE)) slot++;
  return Math.min(slot, DURATION_SLOTS - 1);
}

/** The value that a reader of OTLP takes for a bucket: its geometric middle, in seconds. */
function middleOf(index: number): number {
  return 2 ** ((index + 0.5) / 2 ** SECONDS_SCALE);
}

test("a value read back from its exported bucket is at most 8.7 % off, over the whole range", () => {
  const values = fc.oneof(
    fc.integer({ min: 1, max: 5000 }),
    fc
      .double({ min: 0, max: DURATION_SLOTS / 4, noNaN: true })
      .map((exponent) => Math.max(1, Math.floor(2 ** exponent))),
  );
  fc.assert(
    fc.property(values, (valueUs) => {
      const read = middleOf(secondsIndex(slotOf(valueUs)));

      expect(Math.abs(read / (valueUs / 1e6) - 1)).toBeLessThanOrEqual(0.087);
    }),
    { numRuns: 5000 },
  );
});

test("the bounds of the kernel's buckets, where the error is largest, keep within 8.7 % too", () => {
  const worst = Array.from({ length: DURATION_SLOTS }, (_, slot) => {
    const read = middleOf(secondsIndex(slot));
    const [low, high] = [2 ** (slot / 4) / 1e6, 2 ** ((slot + 1) / 4) / 1e6];
    return Math.max(read / low - 1, 1 - read / high);
  });

  expect(Math.max(...worst)).toBeLessThanOrEqual(0.087);
});

test("no two kernel buckets share an exported bucket", () => {
  const indices = Array.from({ length: DURATION_SLOTS }, (_, slot) => secondsIndex(slot));

  expect(new Set(indices).size).toBe(DURATION_SLOTS);
});

test("a span has the first and last count, their sum, and the bytes that they take with empty buckets between", () => {
  const buckets = [2, 5, 4, 300, 5, 2 ** 40];

  const span = spanOf(buckets);

  expect(span).toEqual({ first: 2, last: 5, count: 305 + 2 ** 40, packedBytes: 1 + 1 + 1 + 1 + 2 + 1 + 6 });
});

test("a histogram without counts has no span", () => {
  expect(spanOf([])).toEqual({ first: -1, last: -1, count: 0, packedBytes: 0 });
});
