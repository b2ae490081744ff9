/**
 * Each block of the documents is run or validated by a test. This one finds all blocks and asks who does; a block of a new kind or in a
 * new document fails until somebody is named.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocks, blocksOf, documents } from "./blocks.ts";

const TESTS = join(import.meta.dirname, "../..");

/** By document and language, which may be a part of the name: the test below test/, which takes all blocks of the kind. */
const TAKEN_BY: readonly (readonly [document: string, language: string, by: string])[] = [
  ["README.md", "promql", "e2e/chain"],
  ["deploy/otel-collector/README.md", "promql", "unit/docs/documents"],
  ["docs/runbooks/", "promql", "e2e/alerts"],
  ["docs/runbooks/", "indented", "e2e/alerts"],
  ["docs/install.md", "sh", "e2e/install-docs"],
  ["docs/install.md", "yaml", "e2e/install-docs"],
  ["docs/configuration.md", "yaml", "e2e/docs-blocks"],
  ["docs/directory.md", "yaml", "e2e/docs-blocks"],
  ["docs/telemetry.md", "yaml", "e2e/docs-blocks"],
  ["docs/alerts-and-dashboards.md", "yaml", "e2e/docs-blocks"],
  ["", "sh", "e2e/docs-blocks"],
  ["", "console", "e2e/docs-blocks"],
  ["", "indented", "e2e/docs-blocks"],
];

/** Drawings, layouts and what programs print: nothing to copy. */
const SHOWN = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "docs/directory.md", "docs/sizing.md"];

const all = documents().flatMap(blocksOf);
const takerOf = (document: string, language: string) =>
  TAKEN_BY.find(([place, kind]) => document.startsWith(place) && kind === language)?.[2];

test("each block of each document is taken by a test, or shows something that nobody types", () => {
  const untaken = all.filter(({ document, language }) =>
    language === "" ? !SHOWN.includes(document) : takerOf(document, language) === undefined,
  );

  expect(all.length).toBeGreaterThan(100);
  expect(untaken).toEqual([]);
});

test("no block without a language holds a command or YAML", () => {
  const commands = /^\s*(sudo |kubectl|helm|make |npm |npx |docker|otelcol|promtool|apiVersion:|\.\/flowspan)/m;

  expect(all.filter(({ language, text }) => language === "" && commands.test(text))).toEqual([]);
});

test("each test that takes blocks is there", () => {
  const missing = TAKEN_BY.map(([, , by]) => by).filter((by) => !existsSync(join(TESTS, `${by}.test.ts`)));

  expect(missing).toEqual([]);
});

test("as many fences open as the finder finds", () => {
  const ROOT = join(TESTS, "..");
  for (const document of documents()) {
    const fences = readFileSync(join(ROOT, document), "utf8").match(/^\s*(```|~~~)/gm)?.length ?? 0;
    expect(blocksOf(document).filter(({ language }) => language !== "indented").length * 2, document).toBe(fences);
  }
});

test("fences in lists, indented commands after an empty line and footnotes are told apart", () => {
  const text =
    "Text\n    goes on.\n\n    kubectl get pods\n\n    kubectl get nodes\n- list\n  ```sh\n  ls\n  ```\n\n[^a]: note\n    more\n";

  expect(blocks(text)).toEqual([
    { language: "indented", text: "kubectl get pods\nkubectl get nodes\n" },
    { language: "sh", text: "ls\n" },
  ]);
});
