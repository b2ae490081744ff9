/**
 * The sum on the last line of `make test`: it must say the truth also when a suite crashed, hung or ran nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isSuccess, sumLine, sumResults } from "../../../scripts/sum-results.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-results-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("suites of both kinds are added up, skipped tests apart", () => {
  leave("unit", 0, report(["passed", "passed", "skipped"], ["passed"]));
  leave("c", 0, "passed rows_test\npassed commands_test\n");

  const sum = sumResults(directory);

  expect({ line: sumLine(sum), success: isSuccess(sum) }).toEqual({
    line: "5 passed, 0 failed, 1 skipped",
    success: true,
  });
});

test("without skipped tests the line has two numbers", () => {
  leave("c", 0, "passed rows_test\n");

  expect(sumLine(sumResults(directory))).toBe("1 passed, 0 failed");
});

test.each([
  ["failed tests, by name", 1, report(["passed", "failed"]), "1 passed, 1 failed", ["s: test 1"]],
  ["failed C tests, by name", 1, "passed a\nfailed b\n", "1 passed, 1 failed", ["s: b"]],
  ["a suite that was killed", 124, undefined, "0 passed, 1 failed", ["s: ended with 124 outside of any test"]],
  ["a suite that ran nothing", 0, report(), "0 passed, 1 failed", ["s: ran nothing"]],
  ["an error after all tests", 1, report(["passed"]), "1 passed, 1 failed", ["s: ended with 1 outside of any test"]],
  ["a report that is cut off", 137, '{"testResults": [', "0 passed, 1 failed", ["s: the report is cut off"]],
])("%s: counted as failed and said", (_, exit, result, line, said) => {
  const lines: string[] = [];
  leave("s", exit, result);

  const sum = sumResults(directory, (text) => lines.push(text));

  expect({ line: sumLine(sum), success: isSuccess(sum), said: lines }).toEqual({ line, success: false, said });
});

test("a file that failed before its tests is one failure", () => {
  const files = [{ name: "a.test.ts", status: "failed", assertionResults: [] }];
  leave("s", 1, JSON.stringify({ testResults: files }));

  expect(sumLine(sumResults(directory))).toBe("0 passed, 1 failed");
});

test("no suite at all is no success", () => {
  const sum = sumResults(join(directory, "absent"));

  expect({ line: sumLine(sum), success: isSuccess(sum) }).toEqual({ line: "0 passed, 0 failed", success: false });
});

function leave(suite: string, exit: number, result: string | undefined): void {
  writeFileSync(join(directory, `${suite}.exit`), `${exit}\n`);
  const isReport = result?.startsWith("{") ?? false;
  if (result !== undefined) writeFileSync(join(directory, `${suite}.${isReport ? "json" : "txt"}`), result);
}

function report(...files: string[][]): string {
  return JSON.stringify({
    testResults: files.map((statuses, file) => ({
      name: `file-${file}.test.ts`,
      status: statuses.includes("failed") ? "failed" : "passed",
      assertionResults: statuses.map((status, i) => ({ status, fullName: `test ${i}` })),
    })),
  });
}
