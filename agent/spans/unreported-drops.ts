/**
 * Drops that only this process knows of: they are counted, and no accepted request has reported them yet.
 *
 * An agent that is killed takes such a count with it. Until it is reported, the probe is to hold the record for
 * unresolved, so that the next agent reports it (bpf/records/ledger.h).
 */
export class UnreportedDrops {
  readonly #dropped: () => number;
  #reported = 0;

  /** @param dropped all so far, as this program's own metrics have it */
  constructor(dropped: () => number) {
    this.#dropped = dropped;
  }

  get count(): number {
    return this.#dropped() - this.#reported;
  }

  /** Own metrics that were collected just now are sent. @returns what is called with the Collector's answer */
  sending(): (accepted: boolean) => void {
    const collected = this.#dropped();
    return (accepted) => {
      if (accepted) this.#reported = Math.max(this.#reported, collected);
    };
  }
}
