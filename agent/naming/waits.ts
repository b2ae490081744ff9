/**
 * How long each of many things has been waited for: addresses without an owner, questions without an answer. Bounded: what finds
 * no room is not waited for, since a thing that pushes out another makes that one wait from the beginning, and all of them for ever.
 */

interface Wait {
  readonly firstMs: number;
  lastMs: number;
}

export class Waits {
  readonly #waitMs: number;
  readonly #limit: number;
  /** The one that was asked for longest ago comes first. */
  readonly #waits = new Map<string, Wait>();

  /** @param waitMs how long each is worth waiting for */
  constructor(waitMs: number, limit: number) {
    this.#waitMs = waitMs;
    this.#limit = limit;
  }

  get size(): number {
    return this.#waits.size;
  }

  /**
   * Asks for a thing. @param forgetMs after which without a question the wait begins anew
   * @returns whether its wait is over
   */
  isOver(thing: string, nowMs: number, forgetMs: number): boolean {
    const known = this.#waits.get(thing);
    this.#waits.delete(thing);
    if (known === undefined && !this.#makeRoom(nowMs)) return true;
    const wait = known !== undefined && nowMs - known.lastMs <= forgetMs ? known : { firstMs: nowMs, lastMs: nowMs };
    wait.lastMs = nowMs;
    this.#waits.set(thing, wait);
    return nowMs - wait.firstMs >= this.#waitMs;
  }

  /** It is there: the next wait for it begins anew. */
  end(thing: string): void {
    this.#waits.delete(thing);
  }

  /** Forgets what nobody has asked for within `forgetMs`. */
  sweep(nowMs: number, forgetMs: number): void {
    for (const [thing, { lastMs }] of this.#waits) {
      if (nowMs - lastMs <= forgetMs) return;
      this.#waits.delete(thing);
    }
  }

  /** At the limit, what nobody has asked for during a whole wait makes room. */
  #makeRoom(nowMs: number): boolean {
    if (this.#waits.size < this.#limit) return true;
    const [[thing, { lastMs }] = ["", { lastMs: nowMs }]] = this.#waits;
    return nowMs - lastMs > this.#waitMs && this.#waits.delete(thing);
  }
}
