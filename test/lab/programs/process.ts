/**
 * One long-lived process of a lab: its output line by line, its end as a promise, ended by its own id.
 *
 * Every process is started through `enter` (enter.c), which puts it into its cgroup and namespace before it
 * runs, and is killed by the kernel when the lab's maker dies.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { program } from "./run.ts";

export interface Place {
  /** Absolute path of a cgroup directory. */
  readonly cgroup?: string;
  /** File of a net namespace; the maker's own if left out. */
  readonly netns?: string;
  readonly user?: number;
}

export interface Start {
  readonly env?: Readonly<Record<string, string>>;
  readonly onStdout?: (line: string) => void;
  readonly onStderr?: (line: string) => void;
}

/** The arguments that start `argv` in `place`. */
export function enterArguments(place: Place, argv: readonly string[]): string[] {
  return [
    program("enter"),
    ...(place.cgroup === undefined ? [] : ["--cgroup", place.cgroup]),
    ...(place.netns === undefined ? [] : ["--net", place.netns]),
    ...(place.user === undefined ? [] : ["--user", String(place.user)]),
    "--",
    ...argv,
  ];
}

export class LabProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  #isRunning = true;
  /** Resolves when the process is gone and all its output read. Never rejects. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];

  constructor(place: Place, argv: readonly string[], start: Start = {}) {
    this.#name = argv.join(" ");
    const [file = "", ...args] = enterArguments(place, argv);
    this.#child = spawn(file, args, { env: { ...process.env, ...start.env }, stdio: "pipe" });
    this.ended = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => {
        this.#isRunning = false;
        resolve({ code, signal });
      });
    });
    this.#child.on("error", (error) => this.stderr.push(error.message));
    // The process may end before it has read a command; its exit says so.
    this.#child.stdin?.on("error", (error) => this.stderr.push(`stdin: ${error.message}`));
    this.#follow(this.#child.stdout, this.stdout, start.onStdout);
    this.#follow(this.#child.stderr, this.stderr, start.onStderr);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} did not start: ${this.stderr.join(" ")}`);
    return this.#child.pid;
  }

  /** False once it is gone and all its output has been read. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** One line to its stdin. */
  command(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#child.kill(signal);
    await this.ended;
  }

  /** What it was and what it said, for an error message. */
  describe(): string {
    return `${this.#name}: ${[...this.stderr.slice(-20), ...this.stdout.slice(-5)].join("\n")}`;
  }

  #follow(stream: NodeJS.ReadableStream | null, kept: string[], hear: ((line: string) => void) | undefined): void {
    if (!stream) return;
    createInterface({ input: stream }).on("line", (line) => {
      if (kept.length >= 10_000) kept.splice(0, 5000);
      kept.push(line);
      hear?.(line);
    });
  }
}

/** How many times as long everything may take: with the sanitizers several times (scripts/sanitized). */
export const PATIENCE = Number(process.env.FLOWSPAN_PATIENCE ?? 1);

/**
 * Waits until `condition` gives a value other than undefined or false.
 *
 * @param what said when the deadline has passed; a function is asked only then
 */
export async function eventually<T>(
  what: string | (() => string),
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs * PATIENCE;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === "string" ? what : what()}`);
    await delay(10);
  }
}
