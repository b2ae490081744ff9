/**
 * One play of one program as text, for whoever has to find out what happened: the program, what the interpreter said (calls,
 * wire, looks, books), and what flowspan said of it. Only reading it is left where a difference needs luck to come again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lab/programs/run.ts";
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import { ownerOf } from "./agent-cgroups.ts";
import type { Performed } from "./batch.ts";
import type { Seen } from "./compare.ts";
import { formatProgram } from "./program.ts";

/** Where what differs is left. */
export const OUTPUT = join(ROOT, "build/torture");

/** @returns the file, `build/torture/NAME.play` */
export function keepPlay(name: string, evidence: string): string {
  mkdirSync(OUTPUT, { recursive: true });
  const file = join(OUTPUT, `${name}.play`);
  writeFileSync(file, evidence);
  return file;
}

export function formatEvidence({ program, trace, seen, phases, points }: Performed): string {
  const parts: [title: string, text: string][] = [
    ["program", formatProgram(program)],
    ["interpreter", trace.lines.join("\n")],
    ...(phases?.map(({ seen }, i): [string, string] => [`phase ${i}`, formatSeen(seen)]) ?? []),
    ["seen", formatSeen(seen)],
    ...(points ? [["points", points.map(formatPoint).join("\n")] as [string, string]] : []),
  ];
  return parts.map(([title, text]) => `## ${title}\n${text}\n`).join("\n");
}

/** Times are of one clock, so that it shows which point a later run supersedes. */
function formatPoint({ metric, resource, attributes, kind, startUnixNs, timeUnixNs, value }: ReceivedPoint): string {
  return `point ${startUnixNs} ${timeUnixNs} ${kind} ${metric} ${value} ${ownerOf(resource)?.puppet} ${json(attributes)}`;
}

function formatSeen({ edges, records, namespace }: Seen): string {
  return [
    ...edges.map((edge) => `edge ${json({ ...edge, slots: undefined })}`),
    ...records.map((record) => `record ${json(plain(record))}`),
    `namespace ${json(namespace)}`,
  ].join("\n");
}

/** A record reads its numbers where they lie, by getters of its class. */
export function plain<T extends object>(view: T): T {
  const getters = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(view) ?? {}))
    .filter(([, { get }]) => get !== undefined)
    .map(([name]) => [name, view[name as keyof T]]);
  return { ...view, ...Object.fromEntries(getters) };
}

function json(value: unknown): string {
  return JSON.stringify(value, (_, each) => {
    if (typeof each === "bigint") return String(each);
    return each !== null && typeof each === "object" && !Array.isArray(each) ? plain(each) : each;
  });
}
