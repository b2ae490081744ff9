/**
 * Who of several claimants of one address has it: the rules that an agent's tables and a directory's share.
 *
 * Nobody is preferred for being younger: two nodes behind one NAT, or two pods that some network plugin gave one
 * address, may live so for months, and what cannot be told apart is not reported. One that is reported as terminating before the
 * other comes is different: it had the address before the other.
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
 * Whether `claimant`, whose claim is reported after that of `present`, had the address before it and not now. One that was
 * reported as terminating since `present` can have had it may share it.
 *
 * @param fromMs when `present` can have had the address at the earliest, CLOCK_BOOTTIME milliseconds
 */
export function isPast(claimant: Claimant, present: Claimant, fromMs: number): boolean {
  const { terminatingMs = Infinity, createdMs } = claimant;
  return terminatingMs <= fromMs && createdMs < present.createdMs;
}
