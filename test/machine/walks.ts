/**
 * Which of its two walks the probe has on this machine (ARCHITECTURE.md, "Two walks"): the kernel says, or FLOWSPAN_WALK,
 * which every probe of a test inherits.
 */
import { spawnSync } from "node:child_process";
import { PROBE } from "../lab/programs/run.ts";

/** Walks that a probe can be made to have here, each with the variables that make it so. */
export interface Walk {
  /** Whether it sees every socket. If not, all open files are walked: what has no file counts when it closes. */
  readonly seesAll: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** Whether the walk sees every socket. */
export function walksAllSockets(): boolean {
  const { stdout } = spawnSync(PROBE, ["--check"], { encoding: "utf8" });
  return JSON.parse(stdout).iterators.bpf_sk_storage_map === true;
}

/** Both, unless the kernel refuses one or it is forced. */
export function walksHere(): Walk[] {
  const files: Walk = { seesAll: false, env: { FLOWSPAN_WALK: "files" } };
  return walksAllSockets() ? [{ seesAll: true, env: {} }, files] : [files];
}
