/** Waits between connects. */
import { expect, test } from "vitest";
import { backoffMs } from "../../../agent/shared/backoff.ts";

const OPTIONS = { firstMs: 500, maxMs: 30_000 };

test.each([
  { failures: 1, random: 0, waitMs: 250 },
  { failures: 1, random: 0.5, waitMs: 375 },
  { failures: 3, random: 0, waitMs: 1000 },
  { failures: 7, random: 0, waitMs: 15_000 },
  { failures: 23, random: 0, waitMs: 15_000 },
  { failures: 2_000_000, random: 0, waitMs: 15_000 },
])("after failure $failures with chance $random the wait is $waitMs ms", ({ failures, random, waitMs }) => {
  expect(backoffMs(failures, random, OPTIONS)).toBe(waitMs);
});
