/** Which of its two walks the probe has on this machine (ARCHITECTURE.md, "Two walks"). */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./lab/run.ts";

/** Whether the walk sees every socket. If not, all open files are walked: what has no file counts when it closes. */
export function walksAllSockets(): boolean {
  const { stdout } = spawnSync(join(ROOT, "build/flowspan-probe"), ["--check"], { encoding: "utf8" });
  return JSON.parse(stdout).iterators.bpf_sk_storage_map === true;
}
