/**
 * The suites' results → one true sum: `N passed, N failed`, with `, N skipped` where any were.
 *
 * Reads a directory that scripts/test filled: SUITE.exit holds the exit code of a suite that was started,
 * SUITE.json vitest's report, SUITE.txt the names of C tests that passed and failed. A suite that was killed,
 * crashed, ran nothing or failed outside of any test counts as one failure more, never as silence.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Sum {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const NOTHING: Sum = { passed: 0, failed: 0, skipped: 0 };

/** @param directory holds the suites' files; `log` hears what failed, a line each */
export function sumResults(directory: string, log: (line: string) => void = () => {}): Sum {
  const suites = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith(".exit")) : [];
  const sums = suites.map((file) => suiteSum(directory, file.slice(0, -".exit".length), log));
  return sums.reduce(add, NOTHING);
}

/** The last line of `make test`. */
export function sumLine({ passed, failed, skipped }: Sum): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Nothing that ran is no success. */
export function isSuccess({ passed, failed }: Sum): boolean {
  return failed === 0 && passed > 0;
}

function suiteSum(directory: string, suite: string, log: (line: string) => void): Sum {
  const exit = readFileSync(join(directory, `${suite}.exit`), "utf8").trim();
  const sum = reportedSum(directory, suite, log);
  const ran = sum.passed + sum.failed + sum.skipped;
  if (exit !== "0" && sum.failed === 0) {
    log(`${suite}: ended with ${exit} outside of any test`);
    return add(sum, { ...NOTHING, failed: 1 });
  }
  if (ran === 0) {
    log(`${suite}: ran nothing`);
    return { ...NOTHING, failed: 1 };
  }
  return sum;
}

function reportedSum(directory: string, suite: string, log: (line: string) => void): Sum {
  const json = join(directory, `${suite}.json`);
  const text = join(directory, `${suite}.txt`);
  if (existsSync(json)) return vitestSum(readFileSync(json, "utf8"), suite, log);
  if (existsSync(text)) return linesSum(readFileSync(text, "utf8"), suite, log);
  return NOTHING;
}

function vitestSum(text: string, suite: string, log: (line: string) => void): Sum {
  let report: Report;
  try {
    report = JSON.parse(text) as Report;
  } catch {
    log(`${suite}: the report is cut off`);
    return { ...NOTHING, failed: 1 };
  }
  const sums = report.testResults.map((file) => {
    const sum = file.assertionResults.map(({ status }) => statusSum(status)).reduce(add, NOTHING);
    for (const { status, fullName } of file.assertionResults) {
      if (status === "failed") log(`${suite}: ${fullName}`);
    }
    if (file.status !== "failed" || sum.failed > 0) return sum;
    log(`${suite}: ${file.name} failed outside of any test`);
    return add(sum, { ...NOTHING, failed: 1 });
  });
  return sums.reduce(add, NOTHING);
}

/** Lines `passed NAME` and `failed NAME`, as scripts/test writes them for programs of C. */
function linesSum(text: string, suite: string, log: (line: string) => void): Sum {
  const lines = text.split("\n").filter((line) => line !== "");
  for (const line of lines) if (line.startsWith("failed ")) log(`${suite}: ${line.slice("failed ".length)}`);
  return lines.map((line) => statusSum(line.split(" ")[0] ?? "")).reduce(add, NOTHING);
}

function statusSum(status: string): Sum {
  if (status === "passed") return { ...NOTHING, passed: 1 };
  if (status === "failed") return { ...NOTHING, failed: 1 };
  return { ...NOTHING, skipped: 1 };
}

function add(a: Sum, b: Sum): Sum {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

if (import.meta.main) {
  const sum = sumResults(process.argv[2] ?? "build/results", (line) => process.stdout.write(`FAILED ${line}\n`));
  process.stdout.write(`${sumLine(sum)}\n`);
  process.exitCode = isSuccess(sum) ? 0 : 1;
}
