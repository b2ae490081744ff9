/**
 * Starts quiet-network.ts in a net namespace of its own, where packets can be swallowed without harm to others, and
 * reads what it saw. Its processes end with it, however it ends.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { WatchState } from "../../agent/kubernetes/watch.ts";

/** What three agents on one real API server saw of 30 seconds in which nothing changed. */
export interface Quiet {
  readonly silentForMs: number;
  /** An agent with a network that works and the shipped settings. */
  readonly calm: readonly WatchState[];
  /** One whose watches the server ends after 4 to 8 seconds, with a bookmark before each end. */
  readonly brief: readonly WatchState[];
  /** One whose packets were swallowed, both ways, without a word. */
  readonly swallowed: {
    /** When all of its watches had noticed. */
    readonly noticedAfterMs: number;
    readonly before: readonly WatchState[];
    /** Once packets went through again. */
    readonly after: readonly WatchState[];
  };
}

const PROGRAM = fileURLToPath(new URL("quiet-network.ts", import.meta.url));

/** @throws Error with what it said when it fails */
export async function startQuiet(): Promise<Quiet> {
  const apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--", process.execPath, PROGRAM];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...apart], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    said.out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    said.err += chunk.toString();
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`quiet-network.ts ended with ${code}:\n${said.err}`);
  return JSON.parse(said.out) as Quiet;
}
