/**
 * Active findings as lines of text: what is wrong, where, since when, with which numbers, why, and the command that shows more.
 *
 * Pure. At most a third of the screen; the worst first, then the newest.
 */
import type { Snapshot } from "../../edges/snapshot.ts";
import type { FindingSnapshot } from "../../model/active-finding.ts";
import type { AttributeValue } from "../../model/attribute.ts";
import { clip, printable, type TableSize } from "./printable.ts";

/** What the agent answers: live edges and, from an agent of this version, active findings. */
export interface TopSnapshot extends Snapshot {
  readonly findings?: readonly FindingSnapshot[];
}

const LINES_EACH = 2;
const COLOURS = { error: "31", warn: "33" } as const;

export function findingLines(
  { findings = [], timeUnixMs }: TopSnapshot,
  { columns, rows, colour }: TableSize,
): string[] {
  const room = rows === undefined ? findings.length : Math.max(1, Math.floor(rows / 3 / LINES_EACH));
  const sorted = [...findings].sort(
    (a, b) => a.severity.localeCompare(b.severity) || b.sinceUnixMs - a.sinceUnixMs || (a.id < b.id ? -1 : 1),
  );
  const paint = (code: string, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const lines = sorted
    .slice(0, room)
    .flatMap((finding) => [
      paint(COLOURS[finding.severity], clip(whatLine(finding, timeUnixMs), columns)),
      paint("2", clip(`  ${finding.cause} Look: ${finding.command}`, columns)),
    ]);
  const hidden = sorted.length - room;
  if (hidden > 0) lines.push(paint("2", clip(`  … ${hidden} more findings`, columns)));
  return lines;
}

/** `! shop/cart  Connects are refused: …  for 45 s  server.port=80 …` */
function whatLine({ subject, meaning, sinceUnixMs, evidence }: FindingSnapshot, nowUnixMs: number): string {
  const numbers = Object.entries(evidence).map(([name, value]) => `${name.replace("flowspan.", "")}=${shown(value)}`);
  const lasts = durationText(Math.max(0, nowUnixMs - sinceUnixMs));
  return `! ${printable(subject)}  ${meaning}  for ${lasts}  ${printable(numbers.join(" "))}`;
}

function shown(value: AttributeValue): string {
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value);
}

/** `45 s`, `12 min`, `3 h` */
function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
