/**
 * A replica of `flowspan directory` as a process of its own, from the bundle, with the flags that the image has.
 *
 * Stopped by process id; its files go with it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DirectoryStats } from "../../agent/directory/server/directory-server.ts";
import { freePorts } from "../shared/free-ports.ts";
import { MALLOC_ENV, NODE_FLAGS } from "./shipped-node.ts";

const BUNDLE = join(import.meta.dirname, "../../build/agent.mjs");
const READY_MS = 120_000;
export interface DirectoryOptions {
  /** Below `distribution.flowspan` of its configuration. */
  readonly settings: { readonly directory?: object; readonly kubernetes?: object; readonly interval?: number };
  /** Where it sends its own metrics; without one it counts and says nothing. */
  readonly endpoint?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What to put before `node`: a program that starts it in other surroundings. */
  readonly through?: readonly string[];
}

export interface DirectoryProcess {
  readonly pid: number;
  /** `127.0.0.1:PORT` of its gRPC. */
  readonly address: string;
  isReady(): Promise<boolean>;
  stats(): Promise<DirectoryStats>;
  status(): Promise<{ readonly directory: DirectoryStats; readonly memory: NodeJS.MemoryUsage }>;
  /** @returns its exit code when it has ended; null where the signal ended it */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  words(): string;
}

/** @returns as soon as it runs; it is ready when it has read the cluster */
export async function startDirectory({
  settings,
  endpoint,
  env,
  through = [],
}: DirectoryOptions): Promise<DirectoryProcess> {
  const [port = 0, healthPort = 0] = await freePorts(2);
  const directory = mkdtempSync(join(tmpdir(), "flowspan-directory-"));
  const file = join(directory, "flowspan.yaml");
  const ours = {
    ...settings,
    directory: { listen: `127.0.0.1:${port}`, ...settings.directory },
    admin: { address: `127.0.0.1:${healthPort}` },
  };
  const sending =
    endpoint === undefined
      ? { disabled: true }
      : { meter_provider: { readers: [{ periodic: { exporter: { otlp_grpc: { endpoint } } } }] } };
  writeFileSync(file, JSON.stringify({ file_format: "1.1", ...sending, distribution: { flowspan: ours } }));
  const argv = [...through, process.execPath, ...NODE_FLAGS, BUNDLE, "directory", "--config", file];
  const child = spawn(argv[0] as string, argv.slice(1), { env: { ...process.env, ...MALLOC_ENV, ...env } });
  const ended = once(child, "exit");
  const killNow = () => child.kill("SIGKILL");
  process.on("exit", killNow);
  let words = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-20_000);
    });
  }
  const ask = (path: string) => fetch(`http://127.0.0.1:${healthPort}${path}`);
  const status = async () =>
    (await (await ask("/status")).json()) as { directory: DirectoryStats; memory: NodeJS.MemoryUsage };
  return {
    pid: child.pid ?? 0,
    address: `127.0.0.1:${port}`,
    isReady: () =>
      ask("/readyz").then(
        ({ ok }) => ok,
        () => false,
      ),
    stats: async () => (await status()).directory,
    status,
    async kill(signal) {
      child.kill(signal);
      const [code] = await ended;
      process.off("exit", killNow);
      rmSync(directory, { recursive: true, force: true });
      return code;
    },
    words: () => words,
  };
}

/** @throws Error with its last words when it does not get ready */
export async function untilReady(replica: DirectoryProcess): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while (!(await replica.isReady())) {
    if (performance.now() > deadline) throw new Error(`the directory did not get ready:\n${replica.words()}`);
    await sleep(20);
  }
}

export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
