/**
 * `npm run bench`: what flowspan costs, beside the budgets of its design.
 *
 *   node test/bench/main.ts [--only NAME]... [--quick] [--json FILE] [--markdown FILE]
 *
 * Runs the benchmarks one after the other on labs of their own, prints a line for each budget as it becomes
 * known, and writes the table to build/bench.md. Needs root, `make build`, and a machine with nothing else to
 * do: times on a busy one mean little. Exit code 1 when a budget was missed, but for --quick, which only shows
 * that everything can still be measured.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../lab/programs/run.ts";
import { missing } from "../machine/needs.ts";
import { measureClusterMemory } from "./cluster-memory.ts";
import { measureDirectory } from "./directory.ts";
import { measureDrops } from "./drops.ts";
import { measureEdgesToOtlp } from "./edges-to-otlp.ts";
import { measureLatency } from "./latency.ts";
import { busyCores, QUIET } from "./machine-load.ts";
import type { Scale } from "./measure.ts";
import { measureMemory } from "./memory.ts";
import { measureOpenSockets } from "./open-sockets.ts";
import { measureRequestResponse } from "./request-response.ts";
import { measureScenario } from "./scenario.ts";
import { measureShortConnections } from "./short-connections.ts";
import { measureSpans } from "./spans.ts";
import { type DatedRow, markdown, type Row, rowText, sorted } from "./table.ts";

const BENCHMARKS: Readonly<Record<string, (scale: Scale) => Promise<Row[]>>> = {
  "request-response": measureRequestResponse,
  "short-connections": measureShortConnections,
  "open-sockets": measureOpenSockets,
  "edges-to-otlp": measureEdgesToOtlp,
  spans: measureSpans,
  memory: measureMemory,
  "cluster-memory": measureClusterMemory,
  directory: measureDirectory,
  latency: measureLatency,
  scenario: measureScenario,
  drops: measureDrops,
};

const HELP = `Usage: npm run bench -- [--only NAME]... [--quick] [--json FILE] [--markdown FILE]

  --only NAME      ${Object.keys(BENCHMARKS).join(", ")}; can be given several times
  --quick          a short run that shows that all works; its numbers mean little
  --json FILE      the rows as JSON
  --markdown FILE  the table (default: build/bench.md, with --quick none)
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      markdown: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const names = values.only ?? Object.keys(BENCHMARKS);
  const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0) {
    process.stderr.write(`bench: no benchmark is called ${unknown.join(", ")}\n\n${HELP}`);
    return 2;
  }
  const problem = missing("root", "btf", "cgroup2", "iptables", "build");
  if (problem !== undefined) {
    process.stderr.write(`bench: ${problem}\n`);
    return 2;
  }

  const { quick } = values;
  const table = values.markdown ?? (quick ? undefined : join(ROOT, "build/bench.md"));
  const rows: DatedRow[] = [];
  const failed: string[] = [];
  for (const name of names) {
    const begun = performance.now();
    try {
      const before = await lookAround(name, quick);
      const measured = (await BENCHMARKS[name]?.({ quick })) ?? [];
      const otherCores = Math.max(before, await lookAround(name, quick));
      const dated = measured.map((row) => ({ ...row, otherCores }));
      for (const row of dated) process.stdout.write(`${rowText(row)}\n`);
      rows.push(...dated);
    } catch (error) {
      failed.push(name);
      process.stderr.write(`bench: ${name} failed: ${(error as Error).stack}\n`);
    }
    process.stderr.write(`bench: ${name} took ${((performance.now() - begun) / 1000).toFixed(1)} s\n`);
    // After each, so that a run that is broken off leaves what it has.
    if (table !== undefined) write(table, markdown(rows, machine(quick)));
    if (values.json !== undefined) write(values.json, `${JSON.stringify(sorted(rows), undefined, 2)}\n`);
  }
  const missed = rows.some(({ verdict }) => verdict === "missed");
  return failed.length > 0 || (missed && !quick) ? 1 : 0;
}

/** @returns busy cores while nothing of ours runs */
async function lookAround(name: string, quick: boolean): Promise<number> {
  const busy = await busyCores(quick ? 1 : 5);
  if (busy > QUIET)
    process.stderr.write(`bench: the machine is not quiet beside ${name}: ${busy.toFixed(1)} cores are busy\n`);
  return busy;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function machine(quick: boolean): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? "unknown";
  const what = `${processors.length} × ${model}, Linux ${release()}, Node ${process.versions.node}`;
  return `Measured ${quick ? "in a hurry (--quick) " : ""}on ${what}. "on" is probe and agent running, "off" no program of ours attached. "Other load" is how many cores were busy while the benchmark did nothing.`;
}

// What is taken back at exit (labs, pins, the kernel's statistics) is taken back after Ctrl-C too.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
process.exitCode = await main();
