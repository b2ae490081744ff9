import { describe, expect, test } from "vitest";
import { costRow, rateRow } from "../../bench/on-off-rows.ts";

const CONTROL = { ratio: 1, atLeast: 0.98, atMost: 1.02, pairs: 9 };
const COMPARISON = { off: 7, on: { on: { ratio: 1.25, atLeast: 1.2, atMost: 1.6, pairs: 9 } }, control: CONTROL };
const AGAINST = { budget: "bulk", off: "7 µs", how: "by hand" } as const;

describe("a row of on against off", () => {
  test("of a cost says the most that can be claimed, and what the control claims", () => {
    expect(costRow(COMPARISON, "on", { ...AGAINST, limit: 1.1 })).toEqual({
      budget: "bulk",
      measured: "1.250, ≤ 1.600 with 95 % (off/off 1.000, 0.980 to 1.020); off 7 µs",
      verdict: "missed",
      how: "by hand",
    });
  });

  test("of a rate says the least, and is judged as the times are", () => {
    expect(rateRow(COMPARISON, "on", { ...AGAINST, limit: 2 })).toMatchObject({
      measured: "0.800, ≥ 0.625 with 95 % (off/off 1.000, 0.980 to 1.020); off 7 µs",
      verdict: "ok",
    });
  });

  test("of too few pairs says so in place of a bound", () => {
    const few = { ratio: 1, atLeast: 0, atMost: Number.POSITIVE_INFINITY, pairs: 1 };
    const comparison = { off: 7, on: { on: few }, control: few };

    const measured = "1.000, too few pairs for a bound (off/off 1.000); off 7 µs";
    expect(costRow(comparison, "on", { ...AGAINST, limit: 2 })).toMatchObject({ measured, verdict: "unclear" });
    expect(rateRow(comparison, "on", { ...AGAINST, limit: 2 })).toMatchObject({ measured, verdict: "unclear" });
  });
});
