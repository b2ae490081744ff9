/**
 * Comparisons of on with off → rows: what can be claimed, beside what the control claims.
 */
import type { Comparison } from "./on-off.ts";
import { type Claim, inverse, judge } from "./paired-ratios.ts";
import { type BudgetName, type Row, ratio } from "./table.ts";

export interface Against {
  readonly budget: BudgetName;
  /** The largest ratio of costs or times that is allowed, above 1; undefined: the row only reports. */
  readonly limit?: number;
  /** The value without an agent, with its unit. */
  readonly off: string;
  readonly how: string;
}

const TOO_FEW = "too few pairs for a bound";

/** Of a cost or a time: less is better. */
export function costRow({ control, on }: Comparison, setting: string, against: Against): Row {
  const measured = claimOf(on, setting);
  const bound = Number.isFinite(measured.atMost) ? `≤ ${ratio(measured.atMost)} with 95 %` : TOO_FEW;
  return rowOf(against, `${ratio(measured.ratio)}, ${bound}`, control, judged(measured, control, against));
}

/** Of the rate that follows from a time: more is better. */
export function rateRow({ control, on }: Comparison, setting: string, against: Against): Row {
  const measured = claimOf(on, setting);
  const rate = inverse(measured);
  const bound = rate.atLeast > 0 ? `≥ ${ratio(rate.atLeast)} with 95 %` : TOO_FEW;
  const verdict = judged(measured, control, against);
  return rowOf(against, `${ratio(rate.ratio)}, ${bound}`, inverse(control), verdict);
}

function judged(measured: Claim, control: Claim, { limit }: Against): Row["verdict"] {
  return limit === undefined ? "ok" : judge(measured, control, limit);
}

function rowOf({ budget, off, how }: Against, claimed: string, control: Claim, verdict: Row["verdict"]): Row {
  const { ratio: estimate, atLeast, atMost } = control;
  const bounds = atLeast > 0 ? `, ${ratio(atLeast)} to ${ratio(atMost)}` : "";
  const measured = `${claimed} (off/off ${ratio(estimate)}${bounds}); off ${off}`;
  return { budget, measured, verdict, how };
}

function claimOf(on: Comparison["on"], setting: string): Claim {
  const measured = on[setting];
  if (measured === undefined) throw new Error(`nothing was measured of ${setting}`);
  return measured;
}
