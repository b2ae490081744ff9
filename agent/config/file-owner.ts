/**
 * Whether root may go by a configuration file: it names the program that root starts as the probe.
 *
 * Goes by owner and mode of the open file, whatever links led there.
 */
import type { Stats } from "node:fs";
import type { Problem } from "./problem.ts";

/**
 * Who but root, and the user that has called sudo, may write to a file that root goes by: it names programs and paths.
 *
 * @returns words; undefined where nobody may, and for a process that is not root
 */
export function othersHand(
  { uid, gid, mode }: Pick<Stats, "uid" | "gid" | "mode">,
  { SUDO_UID, SUDO_GID }: NodeJS.ProcessEnv,
  isRoot = process.geteuid?.() === 0,
): string | undefined {
  if (!isRoot) return undefined;
  if (uid !== 0 && String(uid) !== SUDO_UID) return `a file of user ${uid}`;
  if ((mode & 0o002) !== 0) return "a file that everybody may write to";
  if ((mode & 0o020) !== 0 && gid !== 0 && String(gid) !== SUDO_GID) return `a file that group ${gid} may write to`;
  return undefined;
}

/** The problem that refuses it. */
export function othersFile(file: string, found: string): Problem {
  return {
    source: file,
    path: "(file)",
    found,
    allowed: "a file that nobody but root, or you with sudo, may write to: root starts the probe that it names",
    remedy: `look through it, then: chown root: ${file}; chmod go-w ${file}`,
  };
}
