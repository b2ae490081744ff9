/**
 * From when on the tables know who had which address: what ended before the last list is in none of them, unless it
 * was told before.
 *
 * An agent that starts is given growth from before its start, by a kernel that kept it. Of an address whose
 * owner was made after that growth began, somebody who is never told of may have had the address first. Later
 * growth is not in doubt, and neither is that of owners who were there already. The API says whole
 * seconds, rounded down, and an address is given some time after that: so far may its clock be from ours.
 */
import type { Feed } from "../model/cluster-objects.ts";
import type { Owner } from "./owners.ts";

/** On CLOCK_BOOTTIME. */
export const BOOT_MS = 0;

export class Beginnings {
  readonly #bootUnixMs: number;
  readonly #listedMs = new Map<Feed, number>();

  /** @param bootUnixMs Unix time at CLOCK_BOOTTIME 0 */
  constructor(bootUnixMs: number) {
    this.#bootUnixMs = bootUnixMs;
  }

  /** The feed has said everything that exists. Again after a loss: what came and went meanwhile was never told. */
  listed(feed: Feed, atMs: number): void {
    this.#listedMs.set(feed, Math.max(atMs, this.#listedMs.get(feed) ?? -Infinity));
  }

  /** When what is told of by `feed` now can have begun at the earliest: what its first list tells was there before. */
  earliestMs(feed: Feed, atMs: number): number {
    return this.#listedMs.has(feed) ? atMs : BOOT_MS;
  }

  /**
   * Whether somebody who is never told of may have had an address of this owner before it, but after `sinceMs`.
   *
   * @param fromMs when the owner can have had it at the earliest, as far as that was told
   */
  isDoubtful(feed: Feed, { createdMs }: Pick<Owner, "createdMs">, fromMs: number, sinceMs: number): boolean {
    const listedMs = this.#listedMs.get(feed) ?? Infinity;
    if (sinceMs >= listedMs) return false;
    return sinceMs < fromMs || sinceMs < createdMs - this.#bootUnixMs;
  }
}
