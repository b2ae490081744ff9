/**
 * Who of several claimants of one address has it: the rules that an agent's tables and a directory's share.
 *
 * Nobody is preferred for being younger: two nodes behind one NAT, or two pods that some network plugin gave one
 * address, may live so for months, and what cannot be told apart is not told. One that is told to end is different:
 * it had the address before the other.
 */
/** How late the API tells what a kubelet has seen, at most: an address's end, and its next owner. */
export const HANDOVER_MS = 10_000;

export interface Claimant {
  readonly uid: string;
  /** Unix milliseconds. */
  readonly createdMs: number;
  /** Told to end. */
  readonly terminating?: boolean | undefined;
}

/** Whether `present` had the address until the claim of another was told. */
export function givesWay(present: Claimant): boolean {
  return present.terminating === true;
}

/** Whether `claimant`, whose claim is told after that of `present`, had the address before it and not now. */
export function isPast(claimant: Claimant, present: Claimant): boolean {
  return claimant.terminating === true && present.createdMs > claimant.createdMs;
}
