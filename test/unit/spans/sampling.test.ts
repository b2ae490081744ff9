/** Sampling arithmetic, against the specification's own table and as a property of many traces. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SAMPLE_NEVER } from "../../../agent/generated/layout.ts";
import {
  adjustedCount,
  probabilityOf,
  randomnessOf,
  thresholdOf,
  traceStateOf,
} from "../../../agent/spans/sampling.ts";

/** The specification's table of 1-in-N probabilities, precision 4. */
test.each([
  [1, "0"],
  [2, "8"],
  [3, "aaab"],
  [4, "c"],
  [5, "cccd"],
  [8, "e"],
  [10, "e666"],
  [16, "f"],
  [100, "fd70a"],
  [1000, "ffbe77"],
  [10_000, "fff9724"],
  [100_000, "ffff583a"],
  [1_000_000, "ffffef39"],
])("one in %d is written as th:%s", (n, digits) => {
  expect(traceStateOf(thresholdOf(1 / n))).toBe(`ot=th:${digits}`);
});

test.each([
  [0x10_0000_0000_0000n, "ot=th:1"],
  [0x00_1000_0000_0000n, "ot=th:001"],
  [0xff_ffff_ffff_ffffn, "ot=th:ffffffffffffff"],
  [SAMPLE_NEVER, undefined],
])("the threshold %d is written as %s: leading zeros count, trailing ones do not", (threshold, written) => {
  expect(traceStateOf(threshold)).toBe(written);
});

test("probability 0 is never, and what is smaller than the smallest probability too", () => {
  expect([thresholdOf(0), thresholdOf(2 ** -57), thresholdOf(2 ** -56)]).toEqual([
    SAMPLE_NEVER,
    SAMPLE_NEVER,
    SAMPLE_NEVER - 1n,
  ]);
});

test("every probability is kept to within what four digits allow, and never turns into another end of the scale", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-12, max: 1, noNaN: true }), (probability) => {
      const kept = probabilityOf(thresholdOf(probability)) as number;

      // Precision 4: half of 16^-4 of the leading digit's scale.
      expect(Math.abs(kept - probability) / probability).toBeLessThan(0.01);
      expect(kept).toBeGreaterThan(0);
      expect(kept).toBeLessThanOrEqual(1);
    }),
  );
});

test("the randomness of a trace is the low 56 bits of its id", () => {
  expect(randomnessOf("ffffffffffffffffff00000000000023")).toBe(0x23n);
});

describe("counting from spans", () => {
  const CONNECTIONS = 20_011;

  function keeps(threshold: bigint, traceId: string): boolean {
    return randomnessOf(traceId) >= threshold;
  }

  test.each([0.5, 0.1, 0.013])("at %d: the re-scaled count is within five standard deviations of the truth", (p) => {
    const threshold = thresholdOf(p);
    const traces = Array.from({ length: CONNECTIONS }, () => randomBytes(16).toString("hex"));

    const estimate = traces
      .filter((traceId) => keeps(threshold, traceId))
      .reduce((sum) => sum + (adjustedCount(threshold) as number), 0);

    // Binomial: each kept with p. Five deviations fail by chance once in 1.7 million runs.
    const deviation = Math.sqrt((CONNECTIONS * (1 - p)) / p);
    expect(Math.abs(estimate - CONNECTIONS)).toBeLessThan(5 * deviation);
  });

  test("what a lower rate keeps, a higher one keeps too", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (a, b, bytes) => {
          const traceId = Buffer.from(bytes).toString("hex");
          if (keeps(thresholdOf(Math.min(a, b)), traceId))
            expect(keeps(thresholdOf(Math.max(a, b)), traceId)).toBe(true);
        },
      ),
    );
  });
});
