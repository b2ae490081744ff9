/**
 * Runs the program of an exec plugin → what it printed.
 *
 * It leads a process group of its own, so that its children end with it; only one that may ask a person stays in
 * the terminal's. Its last words on stderr are reported, without what looks like a secret.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { ApiFailure } from "./failure.ts";
import type { ExecEntry } from "./kubeconfig.ts";

export interface RunPluginOptions {
  readonly exec: ExecEntry;
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly isInteractive: boolean;
  /** Kills it. */
  readonly signal: AbortSignal;
}

const OUTPUT_MAX = 1024 * 1024;
const WORDS_MAX = 4096;
/** From SIGTERM to SIGKILL. */
const GRACE_MS = 300;

/** @throws ApiFailure with reason `credentials` */
export async function runPlugin({ exec, name, env, isInteractive, signal }: RunPluginOptions): Promise<string> {
  const child = spawn(exec.command, exec.args, {
    env,
    detached: !isInteractive,
    stdio: [isInteractive ? "inherit" : "ignore", "pipe", isInteractive ? "inherit" : "pipe"],
  });
  const output = keep(child.stdout, OUTPUT_MAX);
  const words = keep(child.stderr, WORDS_MAX);
  const { promise: ended, resolve } = Promise.withResolvers<End>();
  child.once("error", (error: NodeJS.ErrnoException) => resolve({ error }));
  child.once("close", (code, by) => resolve({ code, by }));
  const end = killer(child, !isInteractive);
  // Also when this process ends without a word.
  const last = () => end("SIGKILL");
  process.once("exit", last);
  let grace: NodeJS.Timeout | undefined;
  const abort = () => {
    end("SIGTERM");
    grace = setTimeout(() => end("SIGKILL"), GRACE_MS);
  };
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    judge(await ended, name, exec, words(), signal);
    return output();
  } finally {
    clearTimeout(grace);
    if (signal.aborted) end("SIGKILL");
    signal.removeEventListener("abort", abort);
    process.removeListener("exit", last);
  }
}

type End = { readonly error: NodeJS.ErrnoException } | { readonly code: number | null; readonly by: string | null };

function judge(end: End, name: string, exec: ExecEntry, words: string, signal: AbortSignal): void {
  const refuse = (what: string, remedy: string) => new ApiFailure("credentials", `${name} ${what}`, { remedy });
  const hint = exec.installHint.trim();
  if ("error" in end) {
    const { code } = end.error;
    const where = exec.command.includes("/") ? "is not there" : "is not in PATH";
    const remedy = hint === "" ? "install it where the agent runs, or name its path in exec.command" : hint;
    if (code === "ENOENT") throw refuse(where, remedy);
    if (code === "EACCES") throw refuse("may not be run", "make it executable for the agent's user");
    throw refuse(`cannot be run: ${code ?? "unknown"}`, "run it by hand");
  }
  if (signal.aborted)
    throw refuse("did not end and was killed", "run it by hand: does it wait for a server or for input?");
  if (end.code === 0) return;
  const last = lastWords(words);
  const how = end.code === null ? `was ended by ${end.by}` : `failed with exit code ${end.code}`;
  throw refuse(`${how}${last === "" ? "" : `: ${last}`}`, "run it by hand as the agent's user");
}

/** What a text is in the end, bounded. */
function keep(stream: NodeJS.ReadableStream | null, max: number): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on("data", (chunk: Buffer) => {
    if (length >= max) return;
    chunks.push(chunk);
    length += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8").slice(0, max);
}

function killer(child: ChildProcess, leadsGroup: boolean): (signal: NodeJS.Signals) => void {
  return (signal) => {
    if (child.pid === undefined) return;
    try {
      process.kill(leadsGroup ? -child.pid : child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has ended, which is what was asked for
    }
  };
}

/** Long runs without a space, with digits in them, are tokens, keys or passwords more often than words. */
const LIKE_A_SECRET = /[A-Za-z0-9+/_=.~-]{20,}/g;

function lastWords(words: string): string {
  const line = words.trim().split("\n").at(-1) ?? "";
  const bare = line.replace(/\/\/[^/@\s]*@/g, "//[redacted]@");
  return bare.replace(LIKE_A_SECRET, (run) => (/\d/.test(run) ? "[redacted]" : run)).slice(0, 300);
}
