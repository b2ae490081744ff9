/**
 * The demo's picture as lines of text: a headline, the flows, what flowspan finds wrong. Pure; colour only
 * where asked for, and no line longer than the terminal is wide.
 */
import type { FindingRow } from "./demo-findings.ts";
import type { DemoRow } from "./demo-rows.ts";

export interface Picture {
  readonly headline: string;
  readonly rows: readonly DemoRow[];
  readonly findings: readonly FindingRow[];
}

export interface Paper {
  readonly columns: number;
  /** Lines that fit. */
  readonly lines: number;
  readonly colour: boolean;
}

/** Findings leave that much room to flows. */
const FLOWS_AT_LEAST = 4;
const BOLD = "1";
const DIM = "2";
const RED = "31";
const YELLOW = "33";

const COLUMNS: readonly { readonly title: string; readonly width: number; readonly cell: (row: DemoRow) => string }[] =
  [
    { title: "OUT/s", width: 9, cell: (row) => bytesText(row.bytesOut) },
    { title: "IN/s", width: 9, cell: (row) => bytesText(row.bytesIn) },
    { title: "OPEN", width: 5, cell: (row) => String(row.open) },
    { title: "NEW/s", width: 7, cell: (row) => (row.connections === 0 ? "" : row.connections.toFixed(1)) },
    { title: "RTT p50", width: 8, cell: (row) => secondsText(row.rttP50) },
    { title: "p99", width: 8, cell: (row) => secondsText(row.rttP99) },
    { title: "RESENT", width: 7, cell: (row) => (row.resent === 0 ? "" : `${(row.resent * 100).toFixed(2)}%`) },
  ];

export function pictureLines({ headline, rows, findings }: Picture, paper: Paper): string[] {
  const names = rows.map((row) => `${row.from} → ${row.to}:${row.port}`);
  const nameWidth = Math.max(12, ...names.map((name) => name.length));
  const title = [
    "WHO → TO WHOM".padEnd(nameWidth),
    ...COLUMNS.map((each) => each.title.padStart(each.width)),
    " FAILED",
  ];
  const found = findings.slice(0, Math.max(1, paper.lines - 3 - FLOWS_AT_LEAST));
  const fits = rows.slice(0, Math.max(1, paper.lines - 3 - (found.length > 0 ? found.length + 1 : 0)));
  const paint = (text: string, code: string | undefined) => {
    const cut = text.length > paper.columns ? `${text.slice(0, paper.columns - 1)}…` : text;
    return paper.colour && code !== undefined ? `\x1b[${code}m${cut}\x1b[0m` : cut;
  };
  return [
    paint(headline, BOLD),
    "",
    paint(title.join(" "), DIM),
    ...fits.map((row, i) => {
      const cells = COLUMNS.map((each) => each.cell(row).padStart(each.width));
      return paint(
        `${[(names[i] ?? "").padEnd(nameWidth), ...cells].join(" ")}  ${failedText(row)}`.trimEnd(),
        alarm(row),
      );
    }),
    ...(found.length > 0 ? ["", ...found.map(({ isError, text }) => paint(`! ${text}`, isError ? RED : YELLOW))] : []),
  ];
}

function alarm(row: DemoRow): string | undefined {
  if (row.failed.size > 0) return RED;
  return row.resent > 0.005 || (row.rttP50 ?? 0) > 0.03 ? YELLOW : undefined;
}

function failedText({ failed }: DemoRow): string {
  return [...failed].map(([error, count]) => `${error} ${count}`).join(", ");
}

export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

export function secondsText(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 0.001 ? `${(seconds * 1000).toFixed(1)} ms` : `${(seconds * 1e6).toFixed(0)} µs`;
}
