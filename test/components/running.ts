/**
 * What the starters of real components share: a child process that ends by its own id, conditions with a deadline.
 *
 * The kernel kills a child when this process dies, however it dies; its last words are kept for the error
 * message.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 25;
const WORDS_KEPT = 20_000;

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Its own, removed with all that is in it when it is stopped. */
  readonly directory?: string;
}

export class Running {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #directory: string | undefined;
  #words = "";

  constructor(name: string, program: string, args: readonly string[], { env, directory }: RunOptions = {}) {
    this.#name = name;
    this.#directory = directory;
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.once("error", (error) => {
      this.#words += error.message;
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#words = (this.#words + chunk.toString()).slice(-WORDS_KEPT);
      });
    }
  }

  /** What it has said lately, on both streams. */
  get words(): string {
    return this.#words;
  }

  get hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /**
   * Waits until `condition` holds.
   *
   * @throws Error with its last words when it ends first or takes too long; it is stopped then
   */
  async ready(condition: () => Promise<boolean>, deadlineMs = 30_000): Promise<void> {
    const isReady = await holds(condition, deadlineMs, () => this.hasEnded);
    if (isReady) return;
    const code = this.#child.exitCode ?? this.#child.signalCode;
    const what = this.hasEnded ? `ended with ${code}` : `was not ready within ${deadlineMs} ms`;
    await this.stop("SIGKILL");
    throw new Error(`${this.#name} ${what}:\n${this.#words}`);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (!this.hasEnded) {
      const exited = once(this.#child, "exit");
      this.#child.kill(signal);
      await exited;
    }
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Whether `condition` came to hold before the deadline, or before `isOver`. */
export async function holds(
  condition: () => Promise<boolean>,
  deadlineMs: number,
  isOver: () => boolean = () => false,
): Promise<boolean> {
  const giveUpMs = performance.now() + deadlineMs;
  while (!isOver() && performance.now() < giveUpMs) {
    if (await condition()) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Asks until the answer is as wanted, and gives it; the last one when the deadline has passed. */
export async function askUntil<T>(
  ask: () => Promise<T>,
  isRight: (answer: T) => boolean,
  deadlineMs = 30_000,
): Promise<T> {
  let answer = await ask();
  const isRightNow = async () => {
    answer = await ask();
    return isRight(answer);
  };
  if (!isRight(answer)) await holds(isRightNow, deadlineMs);
  return answer;
}

/** Whether an HTTP GET is answered with 200. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false; // nobody there yet: the only thing that is asked
  }
}
