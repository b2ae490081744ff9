/**
 * docs/security.md names a test for each thing that is stopped. A test that was renamed or removed would leave a promise that
 * nothing keeps.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const DOCUMENT = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const ROWS = DOCUMENT.split("\n").filter(
  (line) => /^\| .* \|.*\|$/.test(line) && !/^\| (could|attacker|\[)/.test(line),
);
const NAMED = /\b((?:e2e|unit|kernel|lab)\/[\w/-]*\w)/g;

/** The test's own file, or all of a folder; none where neither is there. */
function filesOf(name: string): string[] {
  const path = join(ROOT, "test", name);
  if (existsSync(`${path}.test.ts`)) return [`${path}.test.ts`];
  const beside = existsSync(dirname(path)) ? readdirSync(dirname(path), { withFileTypes: true }) : [];
  return beside.some((entry) => entry.isDirectory() && join(entry.parentPath, entry.name) === path)
    ? readdirSync(path).map((file) => join(path, file))
    : [];
}

test("every test that the threat model names is there, under the name that it gives", () => {
  const missing = ROWS.flatMap((row) => {
    const texts = [...row.matchAll(NAMED)].map(([, name = ""]) => [name, filesOf(name).map(read).join("\n")] as const);
    const names = texts.filter(([, text]) => text === "").map(([name]) => name);
    const quoted = [...row.matchAll(/"([^"]+?) …"/g)].map(([, words = ""]) => words);
    return [...names, ...quoted.filter((words) => !texts.some(([, text]) => text.includes(words)))];
  });

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

function read(file: string): string {
  return readFileSync(file, "utf8");
}
