/** docs/kubernetes.md says what the code does. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FAILURE_REASONS } from "../../../agent/kubernetes/failure.ts";
import { MODES, rulesOf } from "../../../agent/kubernetes/reads.ts";

const DOCS = readFileSync(join(import.meta.dirname, "../../../docs/kubernetes.md"), "utf8");
const rows = DOCS.split("\n").filter((line) => line.startsWith("|"));

test("every way to lose the API server has a row", () => {
  const explained = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map(([, word]) => word),
  );

  expect(FAILURE_REASONS.filter((reason) => !explained.includes(reason))).toEqual([]);
});

test.each(MODES)("the row of %s names each resource that it reads, and no other", (mode) => {
  const [, , reads = ""] = rows.find((row) => row.startsWith(`| \`${mode}\``))?.split("|") ?? [];
  const read = rulesOf(mode).flatMap(({ resources, resourceNames }) => resourceNames ?? resources);

  const known = ["pods", "services", "nodes", "endpointslices", "kube-system", "secrets", "configmaps"];
  expect(known.filter((word) => reads.includes(word)).sort()).toEqual([...read].sort());
});
