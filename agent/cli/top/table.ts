/**
 * A snapshot of edges as lines of text: the busiest first, as wide as the terminal.
 *
 * Pure: size and colour come in, lines go out. Text from outside (names, labels) is stripped of control
 * characters, so that no peer can write to the terminal.
 */
import type { EdgeSnapshot, Snapshot } from "../../edges/snapshot.ts";
import { findingLines, type TopSnapshot } from "./finding-lines.ts";
import { clip, printable, type TableSize } from "./printable.ts";

interface Column {
  readonly title: string;
  readonly width: number;
  readonly left?: boolean;
  readonly cell: (edge: EdgeSnapshot) => string;
  /** Something to look at. */
  readonly alarming?: (edge: EdgeSnapshot) => boolean;
}

const retransmitted = ({ retransmits: r }: EdgeSnapshot): number =>
  r.syn + r.fast + r.timeout + r.tailLossProbe + r.nonCongestion + r.other;
const failures = ({ failed }: EdgeSnapshot): [string, number][] =>
  Object.entries(failed).filter(([, count]) => count > 0);
const isListener = ({ role }: EdgeSnapshot): boolean => role === "listener";

const COLUMNS: readonly Column[] = [
  { title: "ROLE", width: 6, left: true, cell: ({ role }) => (role === "listener" ? "listen" : role) },
  { title: "PORT", width: 5, cell: ({ serverPort }) => (serverPort === 0 ? "-" : String(serverPort)) },
  { title: "SENT/s", width: 8, cell: (edge) => (isListener(edge) ? "" : bytesText(edge.rates.bytesSentPerSecond)) },
  { title: "RECV/s", width: 8, cell: (edge) => (isListener(edge) ? "" : bytesText(edge.rates.bytesReceivedPerSecond)) },
  { title: "SENT", width: 8, cell: (edge) => (isListener(edge) ? "" : bytesText(edge.bytesSent)) },
  { title: "RECV", width: 8, cell: (edge) => (isListener(edge) ? "" : bytesText(edge.bytesReceived)) },
  { title: "OPEN", width: 8, cell: (edge) => (isListener(edge) ? `${edge.open}/${edge.limit}` : String(edge.open)) },
  { title: "OPENED", width: 7, cell: (edge) => (isListener(edge) ? "" : countText(edge.opened)) },
  { title: "RTT p50", width: 8, cell: ({ rtt }) => microsecondsText(rtt.p50Us) },
  { title: "p99", width: 8, cell: ({ rtt }) => microsecondsText(rtt.p99Us) },
  { title: "RETRANS", width: 17, left: true, cell: retransmitsText, alarming: (edge) => retransmitted(edge) > 0 },
  {
    title: "FAILED",
    width: 16,
    left: true,
    cell: (edge) => {
      if (isListener(edge)) return edge.drops > 0 ? `dropped ${countText(edge.drops)}` : "";
      return failures(edge)
        .map(([error, count]) => `${error} ${countText(count)}`)
        .join(" ");
    },
    alarming: (edge) => failures(edge).length > 0 || edge.drops > 0,
  },
];

const NAME_MIN = 12;
const FIXED_WIDTH = COLUMNS.reduce((sum, { width }) => sum + width + 1, 0);

/** Active findings, then the table of edges; no line is wider than `columns`. */
export function topLines(snapshot: TopSnapshot, size: TableSize): string[] {
  const findings = findingLines(snapshot, size);
  const rows = size.rows === undefined ? undefined : size.rows - findings.length;
  return [...findings, ...edgeTable(snapshot, { ...size, rows })];
}

/** The table's lines, none wider than `columns`. */
export function edgeTable(snapshot: Snapshot, { columns, rows, colour }: TableSize): string[] {
  const nameWidth = Math.max(NAME_MIN, Math.floor((columns - FIXED_WIDTH) / 2));
  const edges = [...snapshot.edges].sort(byWeight);
  const shown = rows === undefined ? edges : edges.slice(0, Math.max(0, rows - 3));
  const title = [
    pad("LOCAL", nameWidth, true),
    pad("PEER", nameWidth, true),
    ...COLUMNS.map((column) => pad(column.title, column.width, column.left)),
  ];
  const paint = (code: string, text: string) => (colour && text.trim() !== "" ? `\x1b[${code}m${text}\x1b[0m` : text);

  const lines = [paint("1", clip(headline(snapshot), columns)), paint("7", clip(title.join(" "), columns)).trimEnd()];
  for (const edge of shown) {
    let left = columns;
    const put = (text: string, code?: string): string => {
      const part = text.slice(0, Math.max(0, left));
      left -= part.length + 1;
      return code === undefined ? part : paint(code, part);
    };
    const cells = [
      put(pad(localText(edge), nameWidth, true)),
      put(pad(remoteText(edge), nameWidth, true), edge.pending === null ? undefined : "2"),
    ];
    for (const column of COLUMNS) {
      if (left <= 0) break;
      cells.push(put(pad(column.cell(edge), column.width, column.left), column.alarming?.(edge) ? "33" : undefined));
    }
    lines.push(cells.join(" ").trimEnd());
  }
  const hidden = edges.length - shown.length;
  if (hidden > 0) lines.push(paint("2", clip(`… ${hidden} more`, columns)));
  return lines;
}

function headline({ timeUnixMs, intervalMs, edges }: Snapshot): string {
  if (timeUnixMs === 0) return "waiting for the first exchange";
  const time = new Date(timeUnixMs).toISOString().slice(11, 19);
  const open = edges.reduce((sum, edge) => sum + (isListener(edge) ? 0 : edge.open), 0);
  const rates = intervalMs > 0 ? `rates over ${(intervalMs / 1000).toFixed(1)} s` : "no rates yet";
  return `${time} UTC  ${edges.length} edges  ${open} open connections  ${rates}`;
}

/** Busy ones first, then what has failed, then by what they ever moved; names decide ties. */
function byWeight(a: EdgeSnapshot, b: EdgeSnapshot): number {
  return (
    weight(b) - weight(a) ||
    total(b) - total(a) ||
    localText(a).localeCompare(localText(b)) ||
    a.serverPort - b.serverPort
  );
}

const weight = ({ rates }: EdgeSnapshot): number => rates.bytesSentPerSecond + rates.bytesReceivedPerSecond;
const total = (edge: EdgeSnapshot): number => {
  if (isListener(edge)) return edge.drops - 1;
  return edge.bytesSent + edge.bytesReceived + edge.opened + failures(edge).reduce((sum, [, count]) => sum + count, 0);
};

/** The kernel's overflow edges: one is nobody's, the others take what is beyond the share of the one that they name. */
function localText({ local, overflow }: EdgeSnapshot): string {
  return overflow && local.cgroup === "0" ? "(no room left)" : printable(local.label);
}

function remoteText(edge: EdgeSnapshot): string {
  if (edge.overflow) return edge.local.cgroup === "0" ? "" : "(beyond its share)";
  if (isListener(edge)) return "";
  const { label, address } = edge.remote;
  return printable(label === "" ? address : label);
}

/** `1S 1F 1T`: SYN, fast, timeout, tail loss probe, nothing lost (a smaller MTU), other. */
function retransmitsText(edge: EdgeSnapshot): string {
  const { syn, fast, timeout, tailLossProbe, nonCongestion, other } = edge.retransmits;
  const types = [
    [syn, "S"],
    [fast, "F"],
    [timeout, "T"],
    [tailLossProbe, "P"],
    [nonCongestion, "M"],
    [other, "?"],
  ] as const;
  const named = types.filter(([count]) => count > 0).map(([count, letter]) => `${countText(count)}${letter}`);
  return named.join(" ");
}

/** `1.2 MB`; decimal units, three digits at most before the point. */
export function bytesText(bytes: number): string {
  if (bytes < 0.5) return "0";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 99.95 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `12345`, `123k`, `1.2M`. */
export function countText(count: number): string {
  if (count < 100_000) return String(count);
  return count < 1e6 ? `${Math.round(count / 1e3)}k` : `${(count / 1e6).toFixed(1)}M`;
}

/** `87 µs`, `1.2 ms`, `3.4 s`; a dash where nothing was measured. */
export function microsecondsText(us: number | null): string {
  if (us === null) return "-";
  if (us < 999.5) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${(us / 1e3).toFixed(us < 99_950 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

function pad(text: string, width: number, left = false): string {
  if (text.length > width) return left ? `${text.slice(0, width - 1)}…` : text.slice(0, width);
  return left ? text.padEnd(width) : text.padStart(width);
}
