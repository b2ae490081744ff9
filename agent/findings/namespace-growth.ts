/**
 * The kernel's own counters of each net namespace → what they have grown by since the exchange before. A namespace that is
 * new, or that got the inode number of one that is gone, has no growth yet.
 */
import type { ConntrackCounters } from "../model/kernel-evidence.ts";
import type { NamespaceCounters } from "../model/probe-event.ts";
import type { NamespaceGrowth } from "./evidence.ts";

/** A namespace of which nothing was read for so many exchanges is gone. */
const ABSENT_EXCHANGES = 8;

export interface GrownNamespace {
  readonly netns: number;
  readonly cookie: bigint;
  readonly growth: NamespaceGrowth;
  /** Entries and limit as they are now, the rest as growth. */
  readonly conntrack: ConntrackCounters;
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
      if (before === undefined || growth === undefined) continue;
      const conntrack = conntrackGrowth(before.conntrack, counters.conntrack);
      grown.push({ netns: counters.netns, cookie: counters.cookie, growth, conntrack });
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

/** Of one namespace: its statistics are sums over the CPUs that are there, so that one may shrink with a CPU that goes away. */
function conntrackGrowth(before: ConntrackCounters, now: ConntrackCounters): ConntrackCounters {
  const { entries, limit } = now;
  const grown = (name: "insertFailed" | "drop" | "earlyDrop") => Math.max(0, now[name] - before[name]);
  return { entries, limit, insertFailed: grown("insertFailed"), drop: grown("drop"), earlyDrop: grown("earlyDrop") };
}
