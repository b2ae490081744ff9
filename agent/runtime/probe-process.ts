/**
 * What an agent does as root before it stops being root: finds and starts the probe, makes directories.
 */

import { execFile } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Settings } from "../config/settings.ts";
import type { ErrorLogger } from "../shared/logger.ts";
import { openDirectory, pathIn, trustedOwners } from "../shared/trusted-directory.ts";
import { parseLine, type SpawnedProbe, spawnProbe } from "./spawn-probe.ts";

/**
 * True when a process listens on the probe's socket. Asks the probe's program: it disturbs nobody, as a connection would,
 * and looks at the very socket, not at a name in /proc/net/unix that another mount namespace may have as well.
 *
 * @throws Error when the socket, or a directory on the way to it, is in hands that no probe of root's would leave it in
 */
export async function isListening({ probe, user }: Settings): Promise<boolean> {
  const program = findProbe(probe.path);
  const args = ["--is-listening", "--socket", probe.socket, "--socket-uid", String(user)];
  try {
    const { stdout } = await promisify(execFile)(program, args);
    return (JSON.parse(stdout) as { readonly listening: boolean }).listening;
  } catch (error) {
    const last = (error as { stderr?: string }).stderr?.trim().split("\n").at(-1);
    throw new Error(last ? parseLine(last).msg : `${program}: ${(error as Error).message}`, { cause: error });
  }
}

/** Which file is there; a probe that starts puts another one in its place. */
function fileAt(path: string): string | undefined {
  const file = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return file && `${file.dev} ${file.ino} ${file.ctimeNs}`;
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
    ...["--socket-gid", String(user)],
    ...["--edges", String(probe.edges), "--log-level", PROBE_LEVELS[logLevel]],
    ...(probe.pins === undefined ? [] : ["--pins", probe.pins]),
    ...(probe.cgroup === undefined ? [] : ["--cgroup", probe.cgroup]),
  ];
}

/** Starts the probe and waits until it listens. @throws Error when it ends first or takes too long */
export async function startProbe(settings: Settings, log: ErrorLogger, deadlineMs = 30_000): Promise<SpawnedProbe> {
  const { socket } = settings.probe;
  const before = fileAt(socket);
  const probe = spawnProbe({ program: findProbe(settings.probe.path), socket, args: probeArguments(settings), log });
  let reason: string | undefined;
  void probe.ended.then((ended) => {
    reason = ended;
  });
  const giveUpMs = performance.now() + deadlineMs;
  for (let now = before; now === undefined || now === before; now = fileAt(socket)) {
    if (reason !== undefined) throw new Error(`${reason}: sudo flowspan doctor says why`);
    if (performance.now() > giveUpMs) {
      await probe.close();
      throw new Error(`the probe did not listen on ${socket} within ${deadlineMs} ms: sudo flowspan doctor says why`);
    }
    await delay(20);
  }
  return probe;
}

/**
 * Makes the directory of the admin socket, for the user that the agent becomes. Root leaves a directory that is there
 * already as it is, whoever owns it: the agent binds in it when it is no longer root.
 *
 * @throws Error where a directory on the way is a stranger's or behind a stranger's link, or another one came between
 */
export function makeOwnDirectory(socket: string, uid: number): void {
  const path = dirname(socket);
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    closeSync(openDirectory(path));
    return;
  }
  const parent = openDirectory(dirname(path), { make: 0o755, owners: [...trustedOwners(), uid] });
  try {
    const own = pathIn(parent, basename(path));
    mkdirSync(own, { mode: 0o755 });
    giveAway(openSync(own, constants.O_DIRECTORY | constants.O_NOFOLLOW), path, uid);
  } finally {
    closeSync(parent);
  }
}

/** Of a directory that was just made. Where others may write beside it, another one may have its name by now. */
function giveAway(directory: number, path: string, uid: number): void {
  try {
    const isOwn =
      trustedOwners().includes(fstatSync(directory).uid) && readdirSync(`/proc/self/fd/${directory}`).length === 0;
    if (!isOwn)
      throw new Error(`${path} was replaced while it was made: choose a directory that others cannot write to`);
    fchownSync(directory, uid, uid);
  } finally {
    closeSync(directory);
  }
}
