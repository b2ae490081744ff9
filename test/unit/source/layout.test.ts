import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EDGE_COUNTERS, edgeCounters } from "../../../agent/generated/layout.ts";

test("agent/generated/layout.ts is what scripts/generate-layout.ts makes of bpf/contract/contract.h now", {
  timeout: 30_000,
}, () => {
  const generator = fileURLToPath(new URL("../../../scripts/generate-layout.ts", import.meta.url));

  expect(execFileSync(process.execPath, [generator, "--check"], { encoding: "utf8" })).toBe("");
});

test("the list of counters has the order and the size of struct edge_counters", () => {
  const byOffset = Object.entries(edgeCounters.fields).sort(([, a], [, b]) => a.offset - b.offset);

  expect(EDGE_COUNTERS).toEqual(byOffset.map(([name]) => name));
  expect(edgeCounters.size).toBe(EDGE_COUNTERS.length * 8);
});
