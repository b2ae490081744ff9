/**
 * Starts the probe on a machine without Kubernetes, and ends it by closing its stdin.
 *
 * `--supervise` starts a probe that died again, so that the agent never has to (it has dropped its
 * privileges by then). The closed stdin also ends it when the agent was killed.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { ErrorLogger } from "../shared/logger.ts";

export interface SpawnOptions {
  /** The flowspan-probe program. */
  readonly program: string;
  readonly socket: string;
  /** Further arguments: `--pins`, `--cgroup`, `--socket-uid`. */
  readonly args?: readonly string[];
  readonly log: ErrorLogger;
  /** How long the supervisor may take to end before it is killed; it gives the probe 15 s. */
  readonly endTimeoutMs?: number;
}

export interface SpawnedProbe {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  /** Resolves with the reason when the probe has ended, asked or not. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

/** Starts `flowspan-probe --supervise`; what it writes to stderr goes to the log, line by line. */
export function spawnProbe(options: SpawnOptions): SpawnedProbe {
  const { program, socket, args = [], log, endTimeoutMs = 20_000 } = options;
  const child = spawn(program, ["--supervise", "--socket", socket, ...args], {
    stdio: ["pipe", "ignore", "pipe"],
    detached: true, // a Ctrl-C in the terminal is for the agent, which needs the probe for its last exchange
  });
  child.stdin.on("error", (error) => log.warn({ error: error.message }, "the probe's stdin broke"));
  createInterface({ input: child.stderr }).on("line", (line) => passOn(log, line));
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`cannot start ${program}: ${error.message}`));
    child.once("exit", (code, signal) => resolve(`${program} ended with ${signal ?? `exit code ${code}`}`));
  });
  return { pid: child.pid, ended, close: () => endProbe(child, ended, endTimeoutMs) };
}

/** The probe writes JSON lines as we do; what is none (a crash, the loader) is passed on as it is. */
function passOn(log: ErrorLogger, line: string): void {
  const { level, msg } = parseLine(line);
  const say = level === "warn" || level === "error" ? level : "info";
  log[say]({ process: "flowspan-probe" }, msg);
}

/** What a line of the probe says. */
export function parseLine(line: string): { readonly level: unknown; readonly msg: string } {
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    return typeof msg === "string" ? { level, msg } : { level, msg: line };
  } catch {
    return { level: "warn", msg: line };
  }
}

async function endProbe(child: ChildProcess, ended: Promise<string>, timeoutMs: number): Promise<void> {
  child.stdin?.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  await ended;
  clearTimeout(timer);
}
