/**
 * Who wants to know which key, and whose answer is due.
 *
 * A change of the store marks the keys that it may concern; marks are collected for some milliseconds, then
 * each key's answer is encoded once and goes to all who follow it. A follower that cannot take more keeps
 * its marks, at most one a key: the newest answer is always enough.
 */
import type { Key } from "../protocol.ts";

export interface Interest {
  readonly key: Key;
  readonly followers: Set<Follower>;
  /** What a Service in the last answer to any follower was called; undefined where there was none. */
  peerName: string | undefined;
}

/** One agent's stream. */
export interface Follower {
  readonly wanted: Set<Interest>;
  readonly due: Set<Interest>;
}

export class Interests {
  readonly #byKey = new Map<string, Interest>();
  readonly #byAddress = new Map<string, Set<Interest>>();
  /** Followers with something due. */
  readonly due = new Set<Follower>();
  #followed = 0;

  /** Keys that anybody follows. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Keys, where each follower counts its own. */
  get followed(): number {
    return this.#followed;
  }

  /** Its answer is due at once. */
  add(follower: Follower, key: Key): void {
    const text = textOf(key);
    let interest = this.#byKey.get(text);
    if (!interest) {
      interest = { key, followers: new Set(), peerName: undefined };
      this.#byKey.set(text, interest);
      const same = this.#byAddress.get(key.address) ?? new Set();
      this.#byAddress.set(key.address, same.add(interest));
    }
    if (!interest.followers.has(follower)) this.#followed++;
    interest.followers.add(follower);
    follower.wanted.add(interest);
    this.#mark(follower, interest);
  }

  remove(follower: Follower, key: Key): void {
    const interest = this.#byKey.get(textOf(key));
    if (interest) this.#drop(follower, interest);
  }

  /** The follower has gone. */
  removeAll(follower: Follower): void {
    for (const interest of follower.wanted) this.#drop(follower, interest);
    this.due.delete(follower);
  }

  markAddress(address: string): void {
    for (const interest of this.#byAddress.get(address) ?? []) this.mark(interest);
  }

  /** Marks the keys whose answer may name another Service now. Cost: all keys. */
  markWhere(condition: (interest: Interest) => boolean): void {
    for (const interest of this.#byKey.values()) if (condition(interest)) this.mark(interest);
  }

  mark(interest: Interest): void {
    for (const follower of interest.followers) this.#mark(follower, interest);
  }

  #mark(follower: Follower, interest: Interest): void {
    follower.due.add(interest);
    this.due.add(follower);
  }

  #drop(follower: Follower, interest: Interest): void {
    follower.wanted.delete(interest);
    follower.due.delete(interest);
    if (interest.followers.delete(follower)) this.#followed--;
    if (interest.followers.size > 0) return;
    const { address } = interest.key;
    this.#byKey.delete(textOf(interest.key));
    const same = this.#byAddress.get(address);
    same?.delete(interest);
    if (same?.size === 0) this.#byAddress.delete(address);
  }
}

function textOf({ address, port }: Key): string {
  return `${address} ${port}`;
}
