/**
 * Runs the machine's own tools and the lab's C programs. A command that fails throws with its words, so that
 * a lab never goes on half built.
 */
import { execFile, spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The probe that tests run: what was built, or another build of it (scripts/sanitized). */
export const PROBE = resolve(ROOT, process.env.FLOWSPAN_PROBE ?? "build/flowspan-probe");

/** Where `make -C test` puts its programs. */
export function program(
  name:
    | "enter"
    | "delay"
    | "workload"
    | "burst"
    | "bpf-stats"
    | "isn"
    | "strays"
    | "calls"
    | "datagrams"
    | "openings"
    | "held"
    | "refuse"
    | "sameport"
    | "sockmap"
    | "flood"
    | "ask-as"
    | "fill-map"
    | "relink"
    | "torture",
): string {
  return `${ROOT}build/lab/${name}`;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end and gives what it printed; only a command that cannot be started throws. */
export function output(argv: readonly string[], input?: string): Promise<Output> {
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== "number") reject(new Error(`cannot run ${argv.join(" ")}: ${error.message}`));
      else resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
    // A command that reads nothing may have ended before its input is written.
    child.stdin?.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") reject(error);
    });
    child.stdin?.end(input ?? "");
  });
}

/** As output(), but throws unless the command succeeds. */
export async function run(argv: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await output(argv, input);
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

/** For teardown, which must also work while the process exits. Gives stderr; empty means success. */
export function runSync(argv: readonly string[], input?: string): string {
  const [file = "", ...args] = argv;
  const { status, error, stderr } = spawnSync(file, args, { input: input ?? "", encoding: "utf8" });
  if (error) return error.message;
  return status === 0 ? "" : stderr || `${argv.join(" ")} ended with ${status}`;
}
