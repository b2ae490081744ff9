/**
 * That `npm run bench` can still measure what it prints. Its numbers say nothing on a machine that tests.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { output, ROOT } from "../lab/programs/run.ts";
import { missing, needs } from "../machine/needs.ts";
import type { Row } from "./table.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol"] as const;
const test = needs(...NEEDS);
/** For a machine that does much else. */
const DEADLINE_MS = 280_000;

describe("npm run bench", () => {
  let directory: string;
  let rows: Row[];
  let stdout: string;
  let markdown: string;

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    directory = mkdtempSync(join(tmpdir(), "flowspan-bench-smoke-"));
    const files = ["--json", join(directory, "rows.json"), "--markdown", join(directory, "table.md")];
    const only = ["request-response", "edges-to-otlp", "latency", "scenario"].flatMap((name) => ["--only", name]);
    const bench = [process.execPath, "--disable-warning=ExperimentalWarning", join(ROOT, "test/bench/main.ts")];
    const ended = await output([...bench, "--quick", ...only, ...files]);
    if (ended.code !== 0) throw new Error(`the benchmarks ended with ${ended.code}: ${ended.stderr}`);
    stdout = ended.stdout;
    rows = JSON.parse(readFileSync(join(directory, "rows.json"), "utf8")) as Row[];
    markdown = readFileSync(join(directory, "table.md"), "utf8");
  }, DEADLINE_MS);

  afterAll(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  test("each budget of the benchmarks that were asked for has one row", () => {
    expect(rows.map(({ budget }) => budget)).toEqual([
      ...["per-packet", "round-trip-cpu", "round-trip-p50", "round-trip-p99", "round-trips", "bulk-cpu", "bulk"],
      ...["point", "latency", "scenario-probe", "scenario-collector"],
    ]);
  });

  test("each row is printed and stands in the table, with a number in it", () => {
    const incomplete = rows.filter(
      ({ measured }) =>
        !stdout.includes(measured) || !markdown.includes(measured) || !/\d/.test(measured) || /NaN/.test(measured),
    );

    expect(incomplete).toEqual([]);
  });

  test("no program of ours is attached to anything that happens per packet", () => {
    expect(rows.find(({ budget }) => budget === "per-packet")?.verdict).toBe("ok");
  });
});
