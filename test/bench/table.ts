/**
 * The budgets of the design and what was measured beside them, as text and as Markdown.
 *
 * A verdict is about one run on one machine. `unclear` says that the machine was too busy to tell: what can be claimed
 * lies on both sides of the budget, or the control, the same comparison without an agent, claims a difference.
 */
import { QUIET } from "./machine-load.ts";

/** Of one row. */
export type Verdict = "ok" | "missed" | "unclear";

interface Budget {
  readonly what: string;
  readonly must: string;
  /** Measured by the method of that time, before the work on costs that set what must be reached now. */
  readonly before?: string;
}

/** In the order in which they are shown. */
const BUDGETS = {
  "per-packet": { what: "programs of ours run per packet", must: "none" },
  "round-trip-cpu": {
    what: "CPU of a request/response, both ends, on vs off",
    must: "≤ 1.01",
    before: "1.008 (off/off 0.953)",
  },
  "round-trip-p50": { what: "request/response, p50, on vs off", must: "≤ 1.01", before: "1.036 (off/off 0.953)" },
  "round-trip-p99": { what: "request/response, p99, on vs off", must: "≤ 1.03", before: "1.013 (off/off 0.944)" },
  "round-trips": {
    what: "request/response throughput, on vs off",
    must: "≥ 0.99",
    before: "0.994 (off/off 1.039)",
  },
  "bulk-cpu": { what: "CPU of a byte in bulk, both ends, on vs off", must: "≤ 1.01", before: "1.050 (off/off 1.031)" },
  bulk: { what: "bulk throughput, on vs off", must: "≥ 0.99", before: "0.940 (off/off 0.961)" },
  "short-cpu": {
    what: "CPU of a short connection, both ends, default spans vs off",
    must: "≤ 1.06",
    before: "1.142 (off/off 1.040)",
  },
  "short-cpu-metrics": { what: "the same without spans", must: "≤ 1.06", before: "1.081 (off/off 1.006)" },
  "short-rate": {
    what: "short connections per second, default spans vs off",
    must: "≥ 0.95",
    before: "0.853 (off/off 0.971)",
  },
  "short-rate-metrics": { what: "the same without spans", must: "≥ 0.95", before: "0.915 (off/off 0.995)" },
  "short-kernel": { what: "in-kernel cost of a short connection, both ends", must: "≤ 2.5 µs", before: "3.02 µs" },
  "short-records": {
    what: "of that, when every connection of both ends is recorded: more",
    must: "reported",
    before: "1.60 µs",
  },
  "seen-5000": { what: "connections seen at 5,000 new ones/s", must: "all" },
  "seen-20000": { what: "connections seen at 20,000 new ones/s", must: "all" },
  "held-20000": { what: "connections seen with 20,000 held open", must: "all" },
  "held-100000": { what: "connections seen with 100,000 held open", must: "all" },
  "walk-10000": { what: "kernel walk, 10,000 open sockets, 15 s interval", must: "≤ 0.5 % of a core" },
  "walk-100000": {
    what: "kernel walk, 100,000 open sockets, 15 s interval",
    must: "≤ 0.5 % of a core",
    before: "0.50 %",
  },
  "agent-100000": {
    what: "agent with export on, 100,000 open sockets, 15 s interval",
    must: "≤ 1 % of a core",
    before: "0.29 %",
  },
  point: { what: "10,000 edges → OTLP: agent CPU a data point", must: "≤ 2 µs", before: "2.24 µs" },
  "span-path": {
    what: "a record → OTLP without sockets: CPU a span, ours vs the stock serializer",
    must: "≤ 0.4",
    before: "1 (36 to 41 µs)",
  },
  span: { what: "5,000 spans/s: agent CPU a span, none lost", must: "≤ 15 µs", before: "85 to 91 µs" },
  "span-beside": {
    what: "agent and probe at 5,000 connections/s, 100 spans/s",
    must: "≤ 0.6 % of a core",
    before: "3.5 to 4.1 %, 0.3 % without spans",
  },
  "agent-memory": {
    what: "agent: 100 local pods, 10,000 known pods, 10,000 flows",
    must: "≤ 64 MiB anonymous, ≤ 115 MiB RSS",
    before: "99 MiB anonymous, 152 MiB RSS",
  },
  "agent-memory-1000": {
    what: "the same with 1,000 flows",
    must: "≤ 48 MiB anonymous, ≤ 100 MiB RSS",
    before: "133.6 MiB RSS",
  },
  "probe-memory": { what: "probe: 10,000 edges", must: "≤ 8 MiB RSS", before: "5.6 MiB" },
  "cluster-10000": {
    what: "names of 10,000 pods by the agent's own watch, all objects: peak memory",
    must: "reported",
  },
  "cluster-100000": {
    what: "names of 100,000 pods by the agent's own watch, all objects: peak memory",
    must: "reported",
  },
  "directory-10000": { what: "directory, 10,000 pods: peak memory", must: "reported" },
  "directory-100000": { what: "directory, 100,000 pods: peak memory", must: "≤ 150 MiB RSS" },
  "directory-change": { what: "directory, 100,000 pods: change at the API server → agent", must: "≤ 1 s" },
  latency: {
    what: "event latency where somebody waits, kernel to decoded, p99 at 5,000 connections/s",
    must: "< 1 ms",
    before: "730 µs",
  },
  "scenario-probe": {
    what: "3 nodes, 1,000 pods, 5,000 requests/s: probe of a node, with its programs in the kernel",
    must: "< 1.2 % of a core, < 80 MB, < 1 ms (published of a probe)",
  },
  "scenario-collector": {
    what: "the same: agent of a node and Collector together",
    must: "< 3.5 % of a core, < 250 MB, < 5 ms (published of a collector)",
  },
  "drops-healthy": { what: "programs on dropped packets: runs for healthy traffic", must: "≤ 1 a connection" },
  drop: { what: "a dropped packet: in-kernel cost, all counted", must: "≤ 300 ns" },
} as const satisfies Readonly<Record<string, Budget>>;

export type BudgetName = keyof typeof BUDGETS;

/** What a benchmark says of one budget. */
export interface Row {
  readonly budget: BudgetName;
  readonly measured: string;
  readonly verdict: Verdict;
  /** How it was measured, in one sentence. */
  readonly how: string;
}

/** A row with what else the machine did: busy cores before and after the benchmark, the larger. */
export interface DatedRow extends Row {
  readonly otherCores: number;
}

export function verdictOf(isMet: boolean): Verdict {
  return isMet ? "ok" : "missed";
}

/** Rows in the order of the budgets. */
export function sorted(rows: readonly DatedRow[]): DatedRow[] {
  const order = Object.keys(BUDGETS);
  return [...rows].sort((a, b) => order.indexOf(a.budget) - order.indexOf(b.budget));
}

/** One line a row: for a person who watches. */
export function rowText({ budget, measured, verdict, otherCores }: DatedRow): string {
  const { what, must, before }: Budget = BUDGETS[budget];
  const busy = otherCores > QUIET ? `; not quiet: ${number(otherCores, 1)} cores busy with other work` : "";
  const was = before === undefined ? "" : `; before: ${before}`;
  return `${verdict.padEnd(7)}  ${what}: ${measured} (must reach ${must}${was}${busy})`;
}

export function markdown(rows: readonly DatedRow[], machine: string): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["what", "must reach", "before", "measured", "", "other load", "how it was measured"]),
    line(["---", "---", "---", "---", "---", "---", "---"]),
    ...sorted(rows).map(({ budget, measured, verdict, how, otherCores }) => {
      const { what, must, before = "" }: Budget = BUDGETS[budget];
      return line([what, must, before, measured, verdict, number(otherCores, 2), how]);
    }),
    "",
    machine,
    "",
    ...warning(rows),
  ].join("\n");
}

function warning(rows: readonly DatedRow[]): string[] {
  const busy = rows.filter(({ otherCores }) => otherCores > QUIET);
  if (busy.length === 0) return [];
  const most = number(Math.max(...busy.map(({ otherCores }) => otherCores)), 1);
  return [
    `**The machine was not quiet** for ${busy.length} of ${rows.length} rows: up to ${most} cores were busy with other work. Their times mean little.`,
    "",
  ];
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function ratio(value: number): string {
  return value.toFixed(3);
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
