/**
 * A process that gives recordings to `flowspan replay`, one after the other: a path in, what came of it out. It runs with the
 * launcher's settings of V8 and of malloc, and holds nothing besides, so that its memory is what a replay takes.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Far more than a replay of the golden recording takes: what is not done by then waits for ever. */
const DEADLINE_MS = 20_000;

export interface Replayed {
  /** `name: message` of the error that it ended in; undefined: it ended well. */
  readonly error: string | undefined;
  /** The most that the process has ever had resident. */
  readonly peakMib: number;
}

export class Replayer implements Disposable {
  #child: ChildProcess | undefined;

  /** @returns "late" where it did not end in time */
  async replay(path: string): Promise<Replayed | "late"> {
    this.#child ??= await start();
    const child = this.#child;
    const isOver = new AbortController();
    const { signal } = isOver;
    const outcome = Promise.race([
      once(child, "message", { signal }).then(([message]) => message as Replayed),
      once(child, "exit", { signal }).then(([code, how]): never => {
        throw new Error(`a replay ended the whole process: exit code ${code}, signal ${how}`);
      }),
      delay(DEADLINE_MS, "late" as const, { signal }),
    ]);
    child.send(path);
    if ((await outcome.finally(() => isOver.abort())) === "late") this[Symbol.dispose]();
    return outcome;
  }

  [Symbol.dispose](): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }
}

/** What the launcher sets of V8 and of malloc. */
export function launcherSettings(): { readonly flags: string[]; readonly env: Record<string, string> } {
  const launcher = readFileSync(fileURLToPath(new URL("../../flowspan", import.meta.url)), "utf8");
  const flags = launcher.match(/--max-semi-space-size=\d+|--heap-growing-percent=\d+/g) ?? [];
  const settings = [...launcher.matchAll(/(MALLOC_\w+)="\$\{\1:-(\d+)\}"/g)].map(([, name, value]) => [name, value]);
  return {
    flags: [...new Set(flags), "--disable-warning=ExperimentalWarning"],
    env: Object.fromEntries(settings),
  };
}

/** When it resolves, the program is loaded. */
async function start(): Promise<ChildProcess> {
  const { flags, env } = launcherSettings();
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: flags, env: { PATH: process.env.PATH, ...env } });
  await once(child, "message");
  return child;
}

/** The child's own part: says that it is ready, then answers each path. */
async function answerPaths(): Promise<void> {
  const { replayCommand } = await import("../../agent/cli/replay/replay.ts");
  const stdout = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = { env: {}, stdin: process.stdin, stdout, stderr: stdout };
  process.on("message", async (path: string) => {
    const error = await replayCommand.run({ "log-level": "fatal" }, [path], terminal as never).then(
      () => undefined,
      ({ name, message }: Error) => `${name}: ${message}`,
    );
    const answer: Replayed = { error, peakMib: Math.ceil(process.resourceUsage().maxRSS / 1024) };
    process.send?.(answer);
  });
  process.send?.("ready");
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) await answerPaths();
