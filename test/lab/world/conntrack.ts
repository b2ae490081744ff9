/**
 * What connection tracking has counted in a namespace, as the kernel shows it; and a smaller `nf_conntrack_max`.
 *
 * The limit belongs to the whole machine, so what it was is written down in the lab's run directory first: removing the lab
 * restores it, also after a crash.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../programs/run.ts";

const LIMIT = "/proc/sys/net/netfilter/nf_conntrack_max";

export interface ConntrackBooks {
  readonly entries: number;
  readonly insertFailed: number;
  readonly drop: number;
  readonly earlyDrop: number;
}

/** @param directory the lab's run directory */
export function limitConntrack(directory: string, entries: number): void {
  const note = noteFile(directory);
  if (!existsSync(note)) writeFileSync(note, readFileSync(LIMIT, "utf8"));
  writeFileSync(LIMIT, String(entries));
}

/** Undoes it; nothing happens where nothing was changed. */
export function restoreConntrack(directory: string): void {
  const note = noteFile(directory);
  if (!existsSync(note)) return;
  writeFileSync(LIMIT, readFileSync(note, "utf8"));
  rmSync(note);
}

function noteFile(directory: string): string {
  return join(directory, "conntrack-max");
}

/** Hexadecimal, a line for each CPU; the entries are the same in each. @param netns its file */
export async function readConntrack(netns: string): Promise<ConntrackBooks> {
  const text = await run(["nsenter", `--net=${netns}`, "cat", "/proc/net/stat/nf_conntrack"]);
  const [head = "", ...lines] = text.trim().split("\n");
  const columns = head.trim().split(/\s+/);
  const read = (line: string, name: string) =>
    Number.parseInt(line.trim().split(/\s+/)[columns.indexOf(name)] ?? "", 16);
  const sum = (name: string) => lines.reduce((all, line) => all + read(line, name), 0);
  const entries = read(lines[0] ?? "", "entries");
  return { entries, insertFailed: sum("insert_failed"), drop: sum("drop"), earlyDrop: sum("early_drop") };
}
