/**
 * Since when the counters of a net namespace count. An inode number is given out again, and the next namespace counts from 0: its
 * points must begin behind the last of the one before.
 */
import type { NamespaceCounters } from "../model/probe-event.ts";

interface Seen {
  readonly cookie: bigint;
  readonly startNs: bigint;
  lastNs: bigint;
}

const NAMESPACES_MAX = 8_192;

export class ConntrackStarts {
  readonly #seen = new Map<number, Seen>();

  /** @returns CLOCK_BOOTTIME; 0 where nobody was seen with that number before */
  of({ netns, cookie }: Pick<NamespaceCounters, "netns" | "cookie">, nowNs: bigint): bigint {
    const before = this.#seen.get(netns);
    const isSame = before?.cookie === cookie;
    const startNs = isSame ? before.startNs : (before?.lastNs ?? 0n);
    this.#seen.delete(netns);
    this.#seen.set(netns, { cookie, startNs, lastNs: nowNs });
    if (this.#seen.size > NAMESPACES_MAX) this.#seen.delete(this.#seen.keys().next().value as number);
    return startNs;
  }
}
