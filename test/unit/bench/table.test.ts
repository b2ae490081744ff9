import { describe, expect, test } from "vitest";
import { type DatedRow, markdown, rowText } from "../../bench/table.ts";

const ROW: DatedRow = { budget: "bulk", measured: "1.000", verdict: "ok", how: "by hand", otherCores: 0.02 };

describe("the table", () => {
  test("says of a row what must be reached, what was before, what is, and what else the machine did", () => {
    expect(markdown([ROW], "Measured here.").split("\n").slice(2)).toEqual([
      "| bulk throughput, on vs off | ≥ 0.99 | 0.940 (off/off 0.961) | 1.000 | ok | 0.02 | by hand |",
      "",
      "Measured here.",
      "",
    ]);
  });

  test("is in the order of the budgets, and empty where nothing was measured before", () => {
    const text = markdown([ROW, { ...ROW, budget: "per-packet" }], "");

    expect(text.split("\n")[2]).toBe("| programs of ours run per packet | none |  | 1.000 | ok | 0.02 | by hand |");
  });

  test("warns where the machine was not quiet, and so does the row's line", () => {
    const busy = { ...ROW, otherCores: 1.23 };

    expect(markdown([ROW, busy], "")).toContain(
      "**The machine was not quiet** for 1 of 2 rows: up to 1.2 cores were busy with other work.",
    );
    expect(rowText(busy)).toContain("not quiet: 1.2 cores busy");
    expect(rowText(ROW)).not.toContain("quiet");
  });
});
