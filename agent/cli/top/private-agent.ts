/**
 * An agent for one command's own use: it exports nothing, settles nothing, and has sockets and pins of its
 * own, so that it takes nothing from an agent to come.
 *
 * It drops its privileges like any agent; its starter stays root, to remove the pins at the end. It ends
 * with its starter, however that ends.
 */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Settings } from "../../config/settings.ts";
import { findProbe } from "../../runtime/probe-process.ts";
import type { Flags } from "../command.ts";
import { ADMIN_SOCKET, PROBE_SOCKET, removeDirectory } from "./private-directory.ts";

export interface PrivateAgent {
  /** Its admin socket. */
  readonly socket: string;
  /** Why it has ended by itself; undefined while it runs. */
  failure(): string | undefined;
  /**
   * Ends it and removes its pins.
   *
   * @returns what could not be removed, for a person; undefined when all is gone
   */
  stop(): Promise<string | undefined>;
}

/** One name: what was left by a command that was killed is taken over and removed by the next. */
const PINS_NAME = "flowspan-top";
/** Flags that are handed on. */
const HANDED_ON = ["probe", "cgroup", "kubernetes", "kubeconfig", "node", "scope", "user"] as const;
const SAID_MAX = 4_000;
const STOP_MS = 10_000;

/** Needs root. Returns at once; the agent answers on its socket when it is ready. */
export function startPrivateAgent(
  settings: Settings,
  flags: Flags,
  env: NodeJS.ProcessEnv,
  intervalMs: number,
): PrivateAgent {
  const directory = mkdtempSync("/run/flowspan-top-");
  chmodSync(directory, 0o755); // nobody, as which it runs, must get through to a directory of its own
  const socket = join(directory, ADMIN_SOCKET);
  const pins = join(settings.probe.pins === undefined ? "/sys/fs/bpf" : dirname(settings.probe.pins), PINS_NAME);
  const own = {
    "admin-socket": socket,
    "probe-socket": join(directory, PROBE_SOCKET),
    pins,
    interval: String(intervalMs),
    "log-level": "error",
    ...Object.fromEntries(HANDED_ON.flatMap((name) => (typeof flags[name] === "string" ? [[name, flags[name]]] : []))),
  };
  const args = Object.entries(own).flatMap(([name, value]) => [`--${name}`, value as string]);
  const child = spawn(
    process.execPath,
    [...process.execArgv, process.argv[1] as string, "agent", "--until-stdin-closes", ...args],
    {
      env: { ...withoutConfig(env), OTEL_SDK_DISABLED: "true" },
      stdio: ["pipe", "ignore", "pipe"],
      detached: true, // a Ctrl-C in the terminal is for the command, which then stops its agent in order
    },
  );
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-SAID_MAX);
  });
  let ended = false;
  const end = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      stderr += error.message;
    });
    child.once("close", () => {
      ended = true;
      resolve();
    });
  });
  return {
    socket,
    failure: () => (ended ? stderr.trim() : undefined),
    async stop() {
      child.stdin?.destroy();
      const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await end;
      clearTimeout(killer);
      const left = [removeDirectory(directory), removePins(settings, pins)].filter((each) => each !== undefined);
      return left.length === 0 ? undefined : left.join("\n");
    },
  };
}

/** @returns why they are still there, for a person */
function removePins({ probe }: Settings, pins: string): string | undefined {
  const unpin = spawnSync(findProbe(probe.path), ["--unpin", "--pins", pins], { encoding: "utf8" });
  return unpin.status === 0 ? undefined : `${pins} could not be removed: ${unpin.stderr ?? unpin.error?.message}`;
}

/** Flags set everything. */
function withoutConfig(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name !== "OTEL_CONFIG_FILE"));
}
