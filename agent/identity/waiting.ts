/**
 * Claims of addresses that another owner, made later, has: one of them has the address when that one's time is over.
 *
 * After a restart of their node, pods keep their uids and the times when they were made and are given each other's
 * addresses, and the API tells of one after the other. A pod that is told to end waits for nothing: what
 * it claims, it had before. Few addresses are here, and none that has no owner.
 */
export interface Claimant {
  readonly uid: string;
  readonly createdMs: number;
  /** Told to end. */
  readonly terminating?: boolean | undefined;
}

interface Waiting<O> {
  owner: O;
  readonly fromMs: number;
}

export class WaitingClaims<O extends Claimant> {
  readonly #claims = new Map<string, Map<string, Waiting<O>>>();

  add(address: string, owner: O, fromMs: number): void {
    const claims = this.#claims.get(address) ?? new Map<string, Waiting<O>>();
    this.#claims.set(address, claims.set(owner.uid, { owner, fromMs }));
  }

  /** Replaces the value of the owner with the same uid, if that waits. */
  renew(address: string, owner: O): void {
    const claim = this.#claims.get(address)?.get(owner.uid);
    if (claim) claim.owner = owner;
  }

  remove(address: string, uid: string): void {
    const claims = this.#claims.get(address);
    if (claims?.delete(uid) && claims.size === 0) this.#claims.delete(address);
  }

  /** The next owner of an address that nobody has now: the one that was made last. */
  take(address: string): Readonly<Waiting<O>> | undefined {
    const claims = [...(this.#claims.get(address)?.values() ?? [])].filter(({ owner }) => !owner.terminating);
    const next = claims.sort((a, b) => a.owner.createdMs - b.owner.createdMs).at(-1);
    if (next) this.remove(address, next.owner.uid);
    else this.#claims.delete(address);
    return next;
  }
}
