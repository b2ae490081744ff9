/** The model is right, and what was made from it is what stands in the tree. */
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findStale, formatProblem, generate, run } from "../../../semconv/generate.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

test("the model has no problem and the generated files are fresh", () => {
  const generated = generate();

  expect("problems" in generated ? generated.problems.map(formatProblem) : []).toEqual([]);
  expect("texts" in generated ? findStale(generated.texts, ROOT) : []).toEqual([]);
});

test("--check names each file that is stale and ends with 1, and writes nothing", () => {
  const root = temporaryRoot();
  const lines: string[] = [];

  const code = run(["--check"], root, (line) => lines.push(line));

  expect({ code, lines, files: readdirSync(root) }).toEqual({
    code: 1,
    lines: [
      "agent/generated/semconv.ts is stale: run `npm run generate`",
      "docs/telemetry.md is stale: run `npm run generate`",
      "bpf/contract/losses.h is stale: run `npm run generate`",
      "agent/generated/findings.ts is stale: run `npm run generate`",
      "docs/findings.md is stale: run `npm run generate`",
    ],
    files: [],
  });
});

test("what was generated is fresh until one byte changes", () => {
  const root = temporaryRoot();
  const codes: number[] = [];

  codes.push(run([], root, ignore), run(["--check"], root, ignore));
  appendFileSync(join(root, "docs/telemetry.md"), " ");
  codes.push(run(["--check"], root, ignore));

  expect(codes).toEqual([0, 0, 1]);
});

function ignore(): void {}

function temporaryRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "flowspan-semconv-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  return root;
}
