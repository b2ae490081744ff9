/** docs/security.md names a test for each thing that is stopped. */
import { expect, test } from "vitest";
import { missingTests, rowsOf } from "./named-tests.ts";

const ROWS = rowsOf("docs/security.md", /^\| (could|attacker|\[)/);

test("every test that the threat model names is there, under the name that it gives", () => {
  const missing = missingTests(ROWS);

  expect(ROWS.length).toBeGreaterThan(40);
  expect(missing).toEqual([]);
});

test("each row says what stops it or what remains", () => {
  const empty = ROWS.filter((row) => {
    const [, , stops = "", remains = ""] = row.split("|").map((cell) => cell.trim());
    return stops === "" && remains === "";
  });

  expect(empty).toEqual([]);
});
