/**
 * From when on a watch knows who had which address. What ended before its first list is in no table.
 *
 * The kernel keeps growth while no agent runs, and an agent that starts is given it. Assume that the owner of an
 * address was made after that growth began: then another owner, which no watch reports, may have had the address first. Later
 * growth is not in doubt, nor is growth of owners that were there already. The API says whole
 * seconds, rounded down, and an address is given some time after that: so far may its clock be from ours.
 */
import type { Feed } from "../model/cluster-objects.ts";
import type { Owner } from "./owners.ts";

/** On CLOCK_BOOTTIME. */
export const BOOT_MS = 0;

export class WatchStart {
  readonly #bootUnixMs: number;
  readonly #listedMs = new Map<Feed, number>();

  /** @param bootUnixMs Unix time at CLOCK_BOOTTIME 0 */
  constructor(bootUnixMs: number) {
    this.#bootUnixMs = bootUnixMs;
  }

  /** The feed has reported everything that exists. Again after a loss: what came and went meanwhile was never reported. */
  listed(feed: Feed, atMs: number): void {
    this.#listedMs.set(feed, Math.max(atMs, this.#listedMs.get(feed) ?? -Infinity));
  }

  /** When what `feed` reports now can have begun at the earliest: what its first list reports was there before. */
  earliestMs(feed: Feed, atMs: number): number {
    return this.#listedMs.has(feed) ? atMs : BOOT_MS;
  }

  /**
   * Whether growth since `sinceMs` may predate this owner: another one, which was never reported, may have had its address.
   *
   * @param fromMs when the owner can have had it at the earliest, as far as that was reported
   */
  mayPredate(feed: Feed, { createdMs }: Pick<Owner, "createdMs">, fromMs: number, sinceMs: number): boolean {
    const listedMs = this.#listedMs.get(feed) ?? Infinity;
    if (sinceMs >= listedMs) return false;
    return sinceMs < fromMs || sinceMs < createdMs - this.#bootUnixMs;
  }
}
