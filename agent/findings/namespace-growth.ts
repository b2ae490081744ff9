/**
 * The kernel's own counters of each net namespace → what they have grown by since the exchange before. A namespace that is
 * new, or that got the inode number of one that is gone, has no growth yet.
 */
import type { NamespaceCounters } from "../model/probe-event.ts";
import type { NamespaceGrowth } from "./evidence.ts";

/** A namespace of which nothing was read for so many exchanges is gone. */
const ABSENT_EXCHANGES = 8;

export interface GrownNamespace {
  readonly netns: number;
  readonly cookie: bigint;
  readonly growth: NamespaceGrowth;
}

export class NamespaceGrowths {
  readonly #known = new Map<number, { counters: NamespaceCounters; absent: number }>();

  /** @param namespaces those of one exchange */
  take(namespaces: readonly NamespaceCounters[]): GrownNamespace[] {
    for (const known of this.#known.values()) known.absent++;
    const grown: GrownNamespace[] = [];
    for (const counters of namespaces) {
      const before = this.#known.get(counters.netns)?.counters;
      this.#known.set(counters.netns, { counters, absent: 0 });
      const growth = before === undefined ? undefined : growthOf(before, counters);
      if (growth !== undefined) grown.push({ netns: counters.netns, cookie: counters.cookie, growth });
    }
    for (const [netns, { absent }] of this.#known) if (absent >= ABSENT_EXCHANGES) this.#known.delete(netns);
    return grown;
  }
}

/** @returns undefined where it is another namespace: a counter never shrinks */
function growthOf(before: NamespaceCounters, now: NamespaceCounters): NamespaceGrowth | undefined {
  if (before.cookie !== now.cookie) return undefined;
  const { netns: _, pid: __, cookie: ___, cgroup: ____, conntrack: _____, ...counters } = now;
  const growth: Record<string, number> = {};
  for (const [name, value] of Object.entries(counters)) {
    const grown = value - before[name as keyof NamespaceGrowth];
    if (grown < 0) return undefined;
    growth[name] = grown;
  }
  return growth as unknown as NamespaceGrowth;
}
