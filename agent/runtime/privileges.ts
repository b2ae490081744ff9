/**
 * From root to nobody: the agent reads frames and speaks to the network, and needs no privilege for either.
 */
import { threadFiles } from "../shared/procfs.ts";

export interface Identifiers {
  readonly uid: number;
  readonly gid: number;
}

/** The sets that a thread could use or win back; the bounding set alone grants nothing. */
const CAPABILITY_SETS = ["CapInh", "CapPrm", "CapEff", "CapAmb"] as const;

/**
 * Gives up root for good: no supplementary group, no saved id, no capability in any thread.
 *
 * @throws Error when something is left
 */
export function dropPrivileges({ uid, gid }: Identifiers): void {
  if (process.setgroups === undefined || process.setgid === undefined || process.setuid === undefined) {
    throw new Error("this system has no user ids to change to");
  }
  process.setgroups([]);
  process.setgid(gid);
  process.setuid(uid);
  const held = heldCapabilities(threadStatuses());
  if (held.length > 0) throw new Error(`capabilities are left after dropping root: ${held.join(", ")}`);
}

/** Names and masks of the capability sets that are not empty: `CapEff 00000000000000c0`. */
export function heldCapabilities(statuses: readonly string[]): string[] {
  const held = statuses.flatMap((status) =>
    CAPABILITY_SETS.flatMap((set) => {
      const mask = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1];
      return mask === undefined || /^0+$/.test(mask) ? [] : [`${set} ${mask}`];
    }),
  );
  return [...new Set(held)];
}

/** Whether no thread, and nothing that it starts, can win rights by executing a program: `no_new_privs` (prctl(2)). */
export function forbidsNewPrivileges(statuses: readonly string[]): boolean {
  return statuses.every((status) => /^NoNewPrivs:\s*1$/m.test(status));
}

/** /proc's status of every thread of this process: setuid must have reached them all. */
export function threadStatuses(): string[] {
  return threadFiles("self", "status");
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}
