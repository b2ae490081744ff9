/**
 * Limits the ARP or IPv6 neighbour table, and puts it back: few places for a test of a full one, many for a cluster of 1,000 pods.
 *
 * The limit belongs to the whole machine (net/core/neighbour.c keeps it in the table, not in the namespace),
 * so what it was is written down in the lab's run directory first: removing the lab restores it, also after
 * a crash.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Family } from "./iptables.ts";

const FAMILIES: Readonly<Record<Family, string>> = { v4: "ipv4", v6: "ipv6" };

function limitFiles(family: Family): string[] {
  return [1, 2, 3].map((level) => `/proc/sys/net/${FAMILIES[family]}/neigh/default/gc_thresh${level}`);
}

function noteFile(directory: string, family: Family): string {
  return join(directory, `neighbours-${family}.json`);
}

/** @param directory the lab's run directory */
export function limitNeighbourTable(directory: string, family: Family, entries: number): void {
  const files = limitFiles(family);
  const note = noteFile(directory, family);
  if (!existsSync(note)) writeFileSync(note, JSON.stringify(files.map((file) => readFileSync(file, "utf8").trim())));
  for (const file of files) writeFileSync(file, String(entries));
}

/** Undoes it for both families; nothing happens where nothing was changed. */
export function restoreNeighbourTables(directory: string): void {
  for (const family of ["v4", "v6"] as const) {
    const note = noteFile(directory, family);
    if (!existsSync(note)) continue;
    const limits = JSON.parse(readFileSync(note, "utf8")) as string[];
    for (const [i, file] of limitFiles(family).entries()) writeFileSync(file, limits[i] ?? "");
    rmSync(note);
  }
}

/** IPv4's of the whole machine, as the kernel shows it: hexadecimal, a line for each CPU. */
export function readNeighbourTable(): { readonly entries: number; readonly fulls: number } {
  const [head = "", ...lines] = readFileSync("/proc/1/net/stat/arp_cache", "utf8").trim().split("\n");
  const columns = head.trim().split(/\s+/);
  const read = (line: string, name: string) =>
    Number.parseInt(line.trim().split(/\s+/)[columns.indexOf(name)] ?? "", 16);
  return {
    entries: read(lines[0] ?? "", "entries"),
    fulls: lines.reduce((sum, line) => sum + read(line, "table_fulls"), 0),
  };
}
