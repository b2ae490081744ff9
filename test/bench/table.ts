/**
 * The budgets of the design and what was measured beside them, as text and as Markdown.
 *
 * A verdict is about one run on one machine. `unclear` says that the control, the same comparison without
 * an agent, strayed as far as the budget allows: then the machine was too busy to tell.
 */
export type Verdict = "ok" | "missed" | "unclear";

/** In the order in which they are shown. */
const BUDGETS = {
  "per-packet": { what: "programs of ours run per packet", must: "none" },
  "round-trip-cpu": { what: "CPU of a request/response, both ends, on vs off", must: "≤ 1.01" },
  "round-trip-p50": { what: "request/response, p50, on vs off", must: "≤ 1.01" },
  "round-trip-p99": { what: "request/response, p99, on vs off", must: "≤ 1.03" },
  "round-trips": { what: "request/response throughput, on vs off", must: "≥ 0.99" },
  "bulk-cpu": { what: "CPU of a byte in bulk, both ends, on vs off", must: "≤ 1.01" },
  bulk: { what: "bulk throughput, on vs off", must: "≥ 0.99" },
  "short-cpu": { what: "CPU of a short connection, both ends, default spans vs off", must: "≤ 1.06" },
  "short-cpu-metrics": { what: "the same without spans", must: "≤ 1.06" },
  "short-rate": { what: "short connections per second, default spans vs off", must: "≥ 0.95" },
  "short-rate-metrics": { what: "the same without spans", must: "≥ 0.95" },
  "short-kernel": { what: "in-kernel cost of a short connection, both ends", must: "≤ 2.5 µs" },
  "short-records": { what: "of that, when every connection of both ends is recorded: more", must: "reported" },
  "seen-5000": { what: "connections seen at 5,000 new ones/s", must: "all" },
  "seen-20000": { what: "connections seen at 20,000 new ones/s", must: "all" },
  "held-20000": { what: "connections seen with 20,000 held open", must: "all" },
  "held-100000": { what: "connections seen with 100,000 held open", must: "all" },
  "walk-10000": { what: "kernel walk, 10,000 open sockets, 15 s interval", must: "≤ 0.5 % of a core" },
  "walk-100000": { what: "kernel walk, 100,000 open sockets, 15 s interval", must: "≤ 0.5 % of a core" },
  "agent-100000": { what: "agent with export on, 100,000 open sockets, 15 s interval", must: "≤ 1 % of a core" },
  point: { what: "10,000 edges → OTLP: agent CPU a data point", must: "≤ 2 µs" },
  "span-path": { what: "a record → OTLP without sockets: CPU a span, ours vs the stock serializer", must: "≤ 0.4" },
  span: { what: "5,000 spans/s: agent CPU a span, none lost", must: "≤ 15 µs" },
  "span-beside": { what: "agent and probe at 5,000 connections/s, 100 spans/s", must: "≤ 0.6 % of a core" },
  "agent-memory": { what: "agent: 100 local pods, 10,000 known pods, 10,000 edges", must: "≤ 80 MiB RSS" },
  "probe-memory": { what: "probe: 10,000 edges", must: "≤ 8 MiB RSS" },
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
  },
} as const;

export type BudgetName = keyof typeof BUDGETS;

export interface Row {
  readonly budget: BudgetName;
  readonly measured: string;
  readonly verdict: Verdict;
  /** How it was measured, in one sentence. */
  readonly how: string;
}

export function verdictOf(isMet: boolean): Verdict {
  return isMet ? "ok" : "missed";
}

/** Rows in the order of the budgets. */
export function sorted(rows: readonly Row[]): Row[] {
  const order = Object.keys(BUDGETS);
  return [...rows].sort((a, b) => order.indexOf(a.budget) - order.indexOf(b.budget));
}

/** One line a row: for a person who watches. */
export function rowText({ budget, measured, verdict }: Row): string {
  const { what, must } = BUDGETS[budget];
  return `${verdict.padEnd(7)}  ${what}: ${measured} (must reach ${must})`;
}

export function markdown(rows: readonly Row[], machine: string): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["what", "must reach", "measured", "", "how it was measured"]),
    line(["---", "---", "---", "---", "---"]),
    ...sorted(rows).map(({ budget, measured, verdict, how }) => {
      const { what, must } = BUDGETS[budget];
      return line([what, must, measured, verdict, how]);
    }),
    "",
    machine,
    "",
  ].join("\n");
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
