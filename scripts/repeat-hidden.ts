/**
 * Which test files of a suite failed while the kernel hid state changes from BPF (test/machine/witness.ts), and what
 * their repetition makes of the suite's report.
 *
 *     repeat-hidden.ts files DIRECTORY SUITE    prints them, a line each, and forgets what was hidden
 *     repeat-hidden.ts merge DIRECTORY SUITE    puts again.json's files into SUITE.json; exit code 1 if any failed
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What vitest's JSON reporter writes, as far as it is read here. */
export interface Report {
  readonly testResults: readonly { readonly name: string; readonly status: string }[];
}

/** @param hidden lines `NUMBER PATH` @returns paths of files that failed with something hidden */
export function filesToRepeat(report: Report, hidden: string): string[] {
  const disturbed = new Set(hidden.split("\n").map((line) => line.slice(line.indexOf(" ") + 1)));
  return report.testResults
    .filter(({ name, status }) => status === "failed" && disturbed.has(name))
    .map(({ name }) => name);
}

/** The report with the files of `again` in place of what they said before. */
export function merged(report: Report, again: Report): Report {
  const repeated = new Map(again.testResults.map((file) => [file.name, file]));
  return { ...report, testResults: report.testResults.map((file) => repeated.get(file.name) ?? file) };
}

function read(path: string): Report {
  return JSON.parse(readFileSync(path, "utf8")) as Report;
}

function main([verb, directory = "", suite = ""]: readonly string[]): number {
  const path = join(directory, `${suite}.json`);
  const hidden = join(directory, "hidden.txt");
  if (verb === "files") {
    const lines = existsSync(hidden) ? readFileSync(hidden, "utf8") : "";
    rmSync(hidden, { force: true });
    for (const file of existsSync(path) ? filesToRepeat(read(path), lines) : []) process.stdout.write(`${file}\n`);
    return 0;
  }
  const report = merged(read(path), read(join(directory, "again.json")));
  rmSync(join(directory, "again.json"));
  writeFileSync(path, JSON.stringify(report));
  return report.testResults.some(({ status }) => status === "failed") ? 1 : 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
