import { describe, expect, test } from "vitest";
import { claim, inverse, judge } from "../../bench/paired-ratios.ts";
import { Random } from "../../torture/program.ts";

const SEED = 23;

/** About normal, mean 0, deviation 1. */
function normal(random: Random): number {
  return Array.from({ length: 12 }, () => random.next()).reduce((sum, each) => sum + each, -6);
}

/** `count` ratios around `ratio`, one in ten of them far off, as on a machine that others use. */
function disturbed(random: Random, count: number, ratio: number): number[] {
  return Array.from({ length: count }, () => ratio * Math.exp(normal(random) * (random.chance(0.1) ? 0.1 : 0.01)));
}

describe("the ratio that can be claimed", () => {
  test("is Hodges' and Lehmann's estimate within the bounds of Wilcoxon's test", () => {
    // Of ten pairs the sum of ranks is 10 or less in 4.2 %, 11 or less in 5.3 %: the eleventh mean from outside.
    const ratios = [0.9, 0.95, 1.0, 1.02, 1.05, 1.1, 1.2, 1.21, 1.3, 1.5];

    const { ratio, atLeast, atMost } = claim(ratios);

    const means = ratios.flatMap((a, i) => ratios.slice(i).map((b) => Math.sqrt(a * b))).sort((a, b) => a - b);
    expect(ratio).toBeCloseTo(means[27] as number, 12);
    expect(atLeast).toBeCloseTo(means[10] as number, 12);
    expect(atMost).toBeCloseTo(means[44] as number, 12);
  });

  test("is the ratio itself where all pairs agree", () => {
    const { ratio, atLeast, atMost } = claim(Array(7).fill(1.25));

    expect([ratio, atLeast, atMost].map((each) => each.toFixed(12))).toEqual(Array(3).fill("1.250000000000"));
  });

  test("has no bounds with fewer than five pairs, whatever they say", () => {
    expect(claim([1, 1, 1, 1])).toMatchObject({ ratio: 1, atLeast: 0, atMost: Number.POSITIVE_INFINITY, pairs: 4 });
    expect(claim([1, 1, 1, 1, 1])).toMatchObject({ atLeast: 1, atMost: 1 });
  });

  test("is bounded by what is true in 95 of 100 runs on each side, also where some pairs are far off", () => {
    const random = new Random(SEED);
    const runs = 2_000;
    const claims = Array.from({ length: runs }, () => claim(disturbed(random, 19, 1.01)));

    const missedBelow = claims.filter(({ atMost }) => atMost < 1.01).length / runs;
    const missedAbove = claims.filter(({ atLeast }) => atLeast > 1.01).length / runs;

    // Two thousand runs of 5 % stray by 0.5 %.
    for (const missed of [missedBelow, missedAbove]) {
      expect(missed).toBeLessThan(0.065);
      expect(missed).toBeGreaterThan(0.03);
    }
  });

  test("does not follow one pair that is far off", () => {
    const random = new Random(SEED);
    const near = disturbed(random, 20, 1);

    const moved = claim([...near, 50]).ratio / claim(near).ratio;

    expect(moved).toBeLessThan(1.005);
  });

  test("of rates is the inverse, with its bounds exchanged", () => {
    expect(inverse({ ratio: 1.25, atLeast: 1, atMost: 2, pairs: 9 })).toEqual({
      ratio: 0.8,
      atLeast: 0.5,
      atMost: 1,
      pairs: 9,
    });
  });

  test.each([{ ratios: [] }, { ratios: [1, 0] }, { ratios: [1, Number.NaN] }, { ratios: [Number.POSITIVE_INFINITY] }])(
    "is refused of $ratios",
    ({ ratios }) => {
      expect(() => claim(ratios)).toThrow(RangeError);
    },
  );
});

describe("the verdict", () => {
  const fair = { ratio: 1, atLeast: 0.999, atMost: 1.001, pairs: 9 };

  test.each([
    { atLeast: 0.99, atMost: 1.009, verdict: "ok" },
    { atLeast: 1.011, atMost: 1.02, verdict: "missed" },
    { atLeast: 0.99, atMost: 1.02, verdict: "unclear" },
  ])("of bounds $atLeast to $atMost under a limit of 1.01 is $verdict", ({ atLeast, atMost, verdict }) => {
    expect(judge({ ratio: 1, atLeast, atMost, pairs: 9 }, fair, 1.01)).toBe(verdict);
  });

  test.each([
    { atLeast: 1.02, atMost: 1.03 },
    { atLeast: 0.97, atMost: 0.98 },
  ])("is unclear where the control itself claims a difference: $atLeast to $atMost", (control) => {
    expect(judge(fair, { ratio: 1, pairs: 9, ...control }, 1.01)).toBe("unclear");
  });
});
