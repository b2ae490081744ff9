/**
 * Ratios of pairs → the ratio that can be claimed: an estimate, and a bound on each side that holds with 95 %.
 *
 * The pairs are measured one after the other on a machine whose clock and neighbours change, so a few of them are far
 * off. A mean and Student's t would follow those few. The estimate is Hodges' and Lehmann's (the median of all means of two
 * logarithms), the bounds invert Wilcoxon's signed-rank test. Both assume one thing: what disturbs a pair
 * is as likely to raise its ratio as to lower it.
 */
import type { Verdict } from "./table.ts";

/** Each bound holds with this probability by itself; both together with 90 %. */
const CONFIDENCE = 0.95;

export interface Claim {
  /** 1: no difference. */
  readonly ratio: number;
  /** The true ratio is at least this with 95 %; 0 where there are too few pairs (below 5) to say. */
  readonly atLeast: number;
  /** The true ratio is at most this with 95 %; infinite where there are too few pairs to say. */
  readonly atMost: number;
  readonly pairs: number;
}

/**
 * @param ratios one of each pair, all above 0
 * @throws RangeError without a ratio, or with one that is not above 0
 */
export function claim(ratios: readonly number[]): Claim {
  if (ratios.length === 0 || ratios.some((ratio) => !(ratio > 0 && ratio < Number.POSITIVE_INFINITY)))
    throw new RangeError(`no ratios of positive numbers: ${ratios.join(", ")}`);
  const means = walshMeans(ratios.map(Math.log));
  const outside = signedRankQuantile(ratios.length, 1 - CONFIDENCE);
  const [low, high] = [means[outside], means[means.length - 1 - outside]];
  const middle = means.length / 2;
  return {
    ratio: Math.exp(((means[Math.ceil(middle) - 1] as number) + (means[Math.floor(middle)] as number)) / 2),
    atLeast: low === undefined ? 0 : Math.exp(low),
    atMost: high === undefined ? Number.POSITIVE_INFINITY : Math.exp(high),
    pairs: ratios.length,
  };
}

/**
 * @param measured on against off: of what must not grow (time, CPU)
 * @param control off against off, by the same method
 * @param limit the largest ratio that is allowed, above 1
 */
export function judge(measured: Claim, control: Claim, limit: number): Verdict {
  if (control.atLeast > limit || control.atMost < 1 / limit) return "unclear";
  if (measured.atMost <= limit) return "ok";
  return measured.atLeast > limit ? "missed" : "unclear";
}

/** The same of the inverse: of rates in place of times. */
export function inverse({ ratio, atLeast, atMost, pairs }: Claim): Claim {
  return { ratio: 1 / ratio, atLeast: 1 / atMost, atMost: 1 / atLeast, pairs };
}

/** Of each value with itself and each other, in order. */
function walshMeans(values: readonly number[]): number[] {
  return values.flatMap((a, i) => values.slice(i).map((b) => (a + b) / 2)).sort((a, b) => a - b);
}

/**
 * T is the sum of the ranks 1…`pairs` of which each counts as often as not.
 *
 * @returns the largest k with P(T ≤ k) ≤ `chance`, -1 where there is none: that many means may be left out on one side
 */
function signedRankQuantile(pairs: number, chance: number): number {
  let shares: readonly number[] = [1];
  for (let rank = 1; rank <= pairs; rank++) {
    const before = shares;
    const size = before.length + rank;
    shares = Array.from({ length: size }, (_, sum) => ((before[sum] ?? 0) + (before[sum - rank] ?? 0)) / 2);
  }
  let below = 0;
  let k = -1;
  for (const share of shares) {
    below += share;
    if (below > chance) return k;
    k++;
  }
  return k;
}
