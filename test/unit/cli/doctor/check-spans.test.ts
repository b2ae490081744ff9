/** What doctor makes of the spans' settings. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { checkSpans, spanFacts } from "../../../../agent/cli/doctor/check-spans.ts";
import { settingsFrom } from "../../../../agent/config/setting-rows.ts";

const facts = { on: true, inCluster: true, keyFile: undefined, failure: undefined };

test.each([
  ["spans that are off need no key", { ...facts, on: false }, "ok", "switched off"],
  ["a key in its file is well", { ...facts, keyFile: "/key" }, "ok", "traces keyed by /key"],
  ["a cluster without a key is warned", facts, "warn", "no key is set"],
  ["a file that is not there is told", { ...facts, keyFile: "/key", failure: "ENOENT" }, "warn", "/key: ENOENT"],
  ["a workstation needs none", { ...facts, inCluster: false }, "ok", "no key is set: the one that everybody knows"],
] as const)("%s", (_, given, state, found) => {
  expect(checkSpans(given)).toMatchObject({ state, found });
});

test("what is in the key's file is looked at", () => {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-doctor-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [good, bad, missing] = ["good", "bad", "missing"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(good, "0123456789abcdef");
  writeFileSync(bad, "0123");
  const failureOf = (file: string) => spanFacts(settingsFrom(new Map([["spans.keyFile", file]])), true).failure;

  expect([failureOf(good), failureOf(bad), failureOf(missing)]).toEqual([
    undefined,
    "4 bytes that are no key",
    "ENOENT",
  ]);
});

test("spans are off where the settings turn them off", () => {
  const on = (values: [string, unknown][]) => spanFacts(settingsFrom(new Map(values)), false).on;

  expect([on([]), on([["spans.enabled", false]])]).toEqual([true, false]);
});
