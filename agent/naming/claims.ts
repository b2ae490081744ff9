/**
 * Which of several claimants of one address has it: the rules of an agent's tables and of a directory.
 *
 * No claimant is preferred for being younger. Two nodes behind one NAT may live so for months, and so may two pods to
 * which a network plugin gave one address: their growth has no name. One rule divides them: a claimant that is
 * terminating before the other comes had the address before the other.
 */
import type { Pod } from "../model/cluster-objects.ts";

/** How late the API reports what a kubelet has seen, at most: an address's end, and its next owner. */
export const HANDOVER_MS = 10_000;

export interface Claimant {
  readonly uid: string;
  /** Unix milliseconds. */
  readonly createdMs: number;
  /** When it was reported as terminating, CLOCK_BOOTTIME milliseconds; undefined while it is not. */
  readonly terminatingMs?: number | undefined;
}

/**
 * When a pod was reported as terminating; undefined while it is not. All times are CLOCK_BOOTTIME milliseconds.
 *
 * @param beforeMs when it was reported as terminating, as far as that is known already
 * @param earliestMs when what is reported now can have begun at the earliest
 */
export function terminatingSince(
  { terminating = false }: Pick<Pod, "terminating">,
  beforeMs: number | undefined,
  earliestMs: number,
): number | undefined {
  return terminating ? (beforeMs ?? earliestMs) : undefined;
}

/** Whether `present` had the address until the claim of another was reported. */
export function givesWay(present: Claimant): boolean {
  return present.terminatingMs !== undefined;
}

/**
 * Whether `claimant` had the address before `present` and has it no more, although its claim is reported later. If it was
 * reported as terminating after `present` can have had the address, both may share it.
 *
 * @param fromMs when `present` can have had the address at the earliest, CLOCK_BOOTTIME milliseconds
 */
export function isPast(claimant: Claimant, present: Claimant, fromMs: number): boolean {
  const { terminatingMs = Infinity, createdMs } = claimant;
  return terminatingMs <= fromMs && createdMs < present.createdMs;
}
