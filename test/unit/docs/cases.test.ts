/** test/cases.md names tests by their words: each stands in the file that it names. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const TESTS = join(import.meta.dirname, "../..");
const ROWS = readFileSync(join(TESTS, "cases.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| case"));

/** A cell's `[name](file)` and `words`, in their order: words are of the file before them, `there` of the row's first. */
function quoted(row: string): { readonly file: string; readonly words: string }[] {
  const [, held = "", relatives = ""] = row.split(" | ");
  let file = "";
  return [...`${held} ${relatives}`.matchAll(/\]\(([^)]+)\)|`([^`]+)`/g)].flatMap(([, link, words]) => {
    if (link !== undefined) file = link;
    return words === undefined ? [] : [{ file, words }];
  });
}

test.each(ROWS)("%s", (row) => {
  const all = quoted(row);

  expect(all.length).toBeGreaterThanOrEqual(3);
  const missing = all.filter(({ file, words }) => !readFileSync(join(TESTS, file), "utf8").includes(words));
  expect(missing).toEqual([]);
});

test("each of the 24 cases has a row", () => {
  expect(ROWS).toHaveLength(24);
});
