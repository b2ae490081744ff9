/** docs/high-availability.md: each part of the list has a row, each row a test or a reason, each alert a rule. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { missingTests, rowsOf } from "./named-tests.ts";

const ROWS = rowsOf("docs/high-availability.md", /^\| what dies /);
const RULES = readFileSync(join(import.meta.dirname, "../../../deploy/alerts/flowspan.rules.yaml"), "utf8");
const LOSSES = readFileSync(join(import.meta.dirname, "../../../semconv/model/losses.yaml"), "utf8");

test("each part that can die has a row", () => {
  const first = ROWS.map((row) => row.split("|")[1]?.trim());

  for (const part of [
    "an agent",
    "a probe",
    "a node",
    "a directory replica",
    "the Collector",
    "a gateway",
    "the API server",
  ])
    expect(
      first.some((what) => what?.startsWith(part)),
      part,
    ).toBe(true);
  expect(first.filter((what) => what?.startsWith("the network between")).length).toBeGreaterThan(3);
});

test("each row names a test that is there, or says why none is", () => {
  expect(missingTests(ROWS)).toEqual([]);
  expect(ROWS.filter((row) => !/\b(e2e|unit|kernel|lab)\//.test(row) && !row.includes("No test "))).toEqual([]);
});

test("each alert and each loss that a row names exists", () => {
  const text = ROWS.join("\n");
  const alerts = [...text.matchAll(/\bFlowspan\w+/g)].map(([name]) => name);
  const losses = [...text.matchAll(/`((?:span|log)_\w+|\w+_records|records_\w+)`/g)].map(([, name]) => name);

  expect(alerts.filter((name) => !RULES.includes(`alert: ${name}\n`))).toEqual([]);
  expect(losses.filter((name) => !LOSSES.includes(`id: ${name}\n`))).toEqual([]);
  expect(alerts.length * losses.length).toBeGreaterThan(0);
});
