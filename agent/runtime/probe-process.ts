/**
 * What an agent does as root before it stops being root: finds and starts the probe, makes directories.
 */

import { chownSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Settings } from "../config/settings.ts";
import type { ErrorLogger } from "../shared/logger.ts";
import { type SpawnedProbe, spawnProbe } from "./spawn-probe.ts";

/**
 * True when a process of this machine listens on `socket`. Connecting would replace the probe's agent.
 *
 * The probe binds PATH.new and renames it; the kernel's table keeps the name that was bound.
 */
export function isListening(socket: string, table = readFileSync("/proc/net/unix", "utf8")): boolean {
  // Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON.
  return table.split("\n").some((line) => {
    const fields = line.trim().split(/\s+/);
    const bound = fields.slice(7).join(" ");
    return fields[3] === "00010000" && (bound === socket || bound === `${socket}.new`);
  });
}

/** The probe's program: as configured, or beside the bundle, or in the tree's build directory. */
export function findProbe(configured: string | undefined): string {
  if (configured !== undefined) return configured;
  const here = dirname(fileURLToPath(import.meta.url));
  const candidates = [here, join(here, ".."), join(here, "../../build")].map((directory) =>
    join(directory, "flowspan-probe"),
  );
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error("there is no flowspan-probe: run make build, or name it with --probe PATH");
  return found;
}

const PROBE_LEVELS = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  fatal: "error",
  silent: "error",
} as const;

/** What settings ask of the probe, besides its socket. */
export function probeArguments({ probe, user, logLevel }: Settings): string[] {
  return [
    ...["--socket-uid", String(user), "--socket-gid", String(user)],
    ...["--edges", String(probe.edges), "--log-level", PROBE_LEVELS[logLevel]],
    ...(probe.pins === undefined ? [] : ["--pins", probe.pins]),
    ...(probe.cgroup === undefined ? [] : ["--cgroup", probe.cgroup]),
  ];
}

/** Starts the probe and waits until it listens. @throws Error when it ends first or takes too long */
export async function startProbe(settings: Settings, log: ErrorLogger, deadlineMs = 30_000): Promise<SpawnedProbe> {
  const { socket } = settings.probe;
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  const probe = spawnProbe({ program: findProbe(settings.probe.path), socket, args: probeArguments(settings), log });
  let reason: string | undefined;
  void probe.ended.then((ended) => {
    reason = ended;
  });
  const giveUpMs = performance.now() + deadlineMs;
  while (!isListening(socket)) {
    if (reason !== undefined) throw new Error(`${reason}: sudo flowspan doctor says why`);
    if (performance.now() > giveUpMs) {
      await probe.close();
      throw new Error(`the probe did not listen on ${socket} within ${deadlineMs} ms: sudo flowspan doctor says why`);
    }
    await delay(20);
  }
  return probe;
}

/** Makes the directory of the admin socket, for the user that the agent becomes. */
export function makeOwnDirectory(socket: string, uid: number): void {
  const directory = dirname(socket);
  if (existsSync(directory)) return;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  chownSync(directory, uid, uid);
}
