/**
 * Removes a lab from the machine: processes, cgroups, net namespaces, pins, sockets, its state file. The only
 * way down, for close(), for a process that exits and for labs whose process was killed.
 *
 * A lab writes /run/<its id>.json (who made it) before it makes anything and removes it last, so
 * sweep() finds exactly the labs whose maker is gone and touches nothing else named alike. All of this is
 * synchronous: it must also run while the process exits.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runSync } from "../programs/run.ts";
import { findCgroupMount } from "./cgroups.ts";
import { restoreConntrack } from "./conntrack.ts";
import { removeMemoryGroup } from "./memory-group.ts";
import { restoreNeighbourTables } from "./neighbours.ts";

const STATE_FILE = /^(flowspan-lab-.+)\.json$/;

interface Maker {
  readonly pid: number;
  /** Start time in clock ticks since boot: a pid may be used again. */
  readonly started: string;
}

/** Claims the name of a lab to be built. */
export function recordLab(lab: string): void {
  const maker: Maker = { pid: process.pid, started: startTime(process.pid) ?? "" };
  writeFileSync(stateFile(lab), JSON.stringify(maker), { flag: "wx" });
  mkdirSync(runDirectory(lab), { mode: 0o755 });
}

/** Removes labs whose maker is gone; gives their names. Throws when something of theirs stays. */
export function sweep(): string[] {
  const labs = readdirSync("/run").flatMap((file) => STATE_FILE.exec(file)?.[1] ?? []);
  const abandoned = labs.filter((lab) => !makerLives(lab));
  for (const lab of abandoned) removeLab(lab);
  return abandoned;
}

function makerLives(lab: string): boolean {
  let text: string;
  try {
    text = readFileSync(stateFile(lab), "utf8");
  } catch {
    return true; // another sweep has just removed it
  }
  // Empty while its maker is between making and filling the file.
  if (text === "") return true;
  const { pid, started } = JSON.parse(text) as Maker;
  return startTime(pid) === started;
}

function startTime(pid: number): string | undefined {
  try {
    // The command's name, in brackets, may hold spaces; field 22 is the 20th after it (proc(5)).
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Ends the lab's processes and removes all that it made. May be called again; throws when something stays. */
export function removeLab(lab: string): void {
  const cgroup = join(findCgroupMount(), lab);
  if (existsSync(cgroup)) {
    killCgroup(cgroup);
    removeCgroups(cgroup);
  }
  removeMemoryGroup(lab);
  const namespaces = runSync(
    ["ip", "-batch", "-"],
    labNamespaces(lab)
      .map((name) => `netns del ${name}\n`)
      .join(""),
  );
  if (namespaces) throw new Error(`lab ${lab}: ${namespaces}`);
  restoreNeighbourTables(runDirectory(lab));
  restoreConntrack(runDirectory(lab));
  // Unlinking pins detaches programs and frees maps.
  rmSync(pinsDirectory(lab), { recursive: true, force: true });
  rmSync(runDirectory(lab), { recursive: true, force: true });
  rmSync(stateFile(lab), { force: true });
}

function stateFile(lab: string): string {
  return `/run/${lab}.json`;
}

/** Sockets and files of a lab's agents. */
export function runDirectory(lab: string): string {
  return `/run/${lab}`;
}

/** Where a lab's probes pin, in bpffs. */
export function pinsDirectory(lab: string): string {
  return `/sys/fs/bpf/${lab}`;
}

function labNamespaces(lab: string): string[] {
  return existsSync("/var/run/netns") ? readdirSync("/var/run/netns").filter((name) => name.startsWith(`${lab}-`)) : [];
}

/** cgroup.kill (5.14) ends exactly the processes that live in the lab's own cgroups. */
function killCgroup(cgroup: string): void {
  writeFileSync(join(cgroup, "cgroup.kill"), "1");
  // A process with thousands of sockets takes seconds to end.
  const deadline = Date.now() + 60_000;
  while (readFileSync(join(cgroup, "cgroup.events"), "utf8").includes("populated 1")) {
    if (Date.now() > deadline) throw new Error(`processes in ${cgroup} do not end`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  }
}

function removeCgroups(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroups(join(directory, entry.name));
  rmdirSync(directory);
}
