/**
 * The directory of a private agent, and how root removes it.
 *
 *   /run/flowspan-top-XXXXXX/             root's
 *     probe.sock                          the probe's, which root starts
 *     agent/                              the agent's user may make and replace everything in it
 *       admin.sock
 *
 * Removes these names alone and follows no link: whatever else the agent's user has put there is not root's to walk.
 */
import { rmdirSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/** Below the directory. */
export const ADMIN_SOCKET = "agent/admin.sock";
export const PROBE_SOCKET = "probe.sock";
/** Until the probe is ready: bpf/serve/listener.c. */
const PROBE_STARTING = `${PROBE_SOCKET}.new`;

/** @returns what is still there and why, for a person; undefined when all is gone */
export function removeDirectory(directory: string): string | undefined {
  try {
    for (const name of [ADMIN_SOCKET, PROBE_SOCKET, PROBE_STARTING]) remove(unlinkSync, join(directory, name));
    remove(rmdirSync, join(directory, dirname(ADMIN_SOCKET)));
    remove(rmdirSync, directory);
    return undefined;
  } catch (error) {
    return `${directory} could not be removed: ${(error as Error).message}`;
  }
}

/** A probe or an agent that ended before it listened has made nothing. */
function remove(how: (path: string) => void, path: string): void {
  try {
    how(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
