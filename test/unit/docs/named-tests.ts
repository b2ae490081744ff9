/**
 * Tables of documents that name a test for what they promise: the file below test/ and the beginning of its name. A test that was
 * renamed or removed would leave a promise that nothing keeps.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dirname, "../../..");
const NAMED = /\b((?:e2e|unit|kernel|lab|vm)\/[\w/-]*\w)/g;

/** Rows of a document's tables, as lines; `heading` finds those above and below a table's own rule. */
export function rowsOf(document: string, heading: RegExp): string[] {
  const lines = readFileSync(join(ROOT, document), "utf8").split("\n");
  return lines.filter((line) => /^\| .* \|.*\|$/.test(line) && !heading.test(line));
}

/** Names of files that are not there, and beginnings of tests that none of a row's files has. */
export function missingTests(rows: readonly string[]): string[] {
  return rows.flatMap((row) => {
    const texts = [...row.matchAll(NAMED)].map(([, name = ""]) => [name, filesOf(name).map(read).join("\n")] as const);
    const names = texts.filter(([, text]) => text === "").map(([name]) => name);
    const quoted = [...row.matchAll(/"([^"]+?) …"/g)].map(([, words = ""]) => words);
    return [...names, ...quoted.filter((words) => !texts.some(([, text]) => text.includes(words)))];
  });
}

/** The test's own file, or all of a folder; none where neither is there. */
function filesOf(name: string): string[] {
  const path = join(ROOT, "test", name);
  if (existsSync(`${path}.test.ts`)) return [`${path}.test.ts`];
  const beside = existsSync(dirname(path)) ? readdirSync(dirname(path), { withFileTypes: true }) : [];
  return beside.some((entry) => entry.isDirectory() && join(entry.parentPath, entry.name) === path)
    ? readdirSync(path).map((file) => join(path, file))
    : [];
}

function read(file: string): string {
  return readFileSync(file, "utf8");
}
