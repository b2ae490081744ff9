/**
 * What detectors say interval by interval → starts and ends of findings.
 *
 *                      startAfter intervals in a row,
 *   nothing ──► rising ──────── and a token ────────► active ──── endAfter intervals in a row without ────► end
 *      ▲          │ an interval without
 *      └──────────┘
 *
 * Each start has one end with the same id, and one place has at most one finding of a name at a time. Bounded: what finds no room,
 * or is over before the rate let it start, is counted as left out. Pure but for its own state.
 */
import { createHash } from "node:crypto";
import { FINDINGS, type FindingName } from "../generated/findings.ts";
import type { ActiveFinding } from "../model/active-finding.ts";
import type { Attributes } from "../model/attribute.ts";
import type { LocalEnd } from "../model/names.ts";
import type { Judged } from "./detect.ts";

export interface TrackerLimits {
  /** Findings that may be rising or active at once. */
  readonly limit: number;
  /** Starts in a minute, and at once. */
  readonly ratePerMinute: number;
}

/** When an interval ended. */
export interface IntervalEnd {
  readonly bootNs: bigint;
  readonly timeUnixNs: bigint;
}

/** A start or an end. */
export interface FindingEvent extends ActiveFinding {
  readonly state: "start" | "end";
  readonly timeUnixNs: bigint;
  /** At the start what was judged last, at the end the largest. */
  readonly value: number;
  /** How many intervals have shown it. */
  readonly intervals: number;
  /** End of the last interval that showed it. */
  readonly lastUnixNs: bigint;
  /** Of an end. */
  readonly endedBy: "recovery" | "shutdown" | undefined;
}

/** One that rises or is active. */
class Tracked {
  readonly name: FindingName;
  readonly subject: LocalEnd;
  readonly id: string;
  readonly sinceUnixNs: bigint;
  isActive = false;
  /** It has been seen often enough, and waits for its turn. */
  isDue = false;
  intervals = 0;
  /** Intervals in a row without it. */
  missed = 0;
  value = 0;
  largest = 0;
  lastUnixNs: bigint;
  /** What its place may be, by the last interval. */
  keys: readonly string[];
  counts: Readonly<Record<string, number>> = {};
  facts: Attributes = {};

  constructor({ finding, key, otherKeys = [], subject }: Judged, timeUnixNs: bigint) {
    this.keys = [key, ...otherKeys];
    this.name = finding;
    this.subject = subject;
    this.sinceUnixNs = timeUnixNs;
    this.lastUnixNs = timeUnixNs;
    this.id = createHash("sha256").update(`${finding} ${key} ${timeUnixNs}`).digest("hex").slice(0, 16);
  }

  /** Adds an interval's numbers, whether or not it holds. What it is, and where, say those alone in which it does. */
  add({ key, otherKeys = [], counts, facts, holds }: Judged): void {
    const sums: Record<string, number> = { ...this.counts };
    for (const [name, count] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
    this.counts = sums;
    if (!holds) return;
    this.keys = [key, ...otherKeys];
    this.facts = facts;
  }

  show(value: number, timeUnixNs: bigint): void {
    this.missed = 0;
    this.intervals++;
    this.value = value;
    this.largest = Math.max(this.largest, value);
    this.lastUnixNs = timeUnixNs;
  }

  get active(): ActiveFinding {
    const { name, id, subject, sinceUnixNs, counts, facts } = this;
    return { name, id, subject, sinceUnixNs, evidence: { ...facts, ...counts } };
  }

  event(state: "start" | "end", timeUnixNs: bigint, endedBy: FindingEvent["endedBy"]): FindingEvent {
    const { intervals, lastUnixNs } = this;
    const value = state === "start" ? this.value : this.largest;
    return { ...this.active, state, timeUnixNs, value, intervals, lastUnixNs, endedBy };
  }
}

const NS_PER_MINUTE = 60e9;

export class FindingTracker {
  readonly #limits: () => TrackerLimits;
  readonly #tracked = new Map<string, Tracked>();
  readonly #started = new Map<FindingName, number>();
  /** Those of the last interval for which there was no room: each is counted once while it lasts. */
  #refused = new Set<string>();
  #tokens: number | undefined;
  #refilledNs = 0n;
  /** Findings of which nothing was told, since the tracker was made. */
  leftOut = 0;

  /** @param limits read at each interval */
  constructor(limits: () => TrackerLimits) {
    this.#limits = limits;
  }

  /** Rising and active. */
  get size(): number {
    return this.#tracked.size;
  }

  /**
   * Takes one interval.
   *
   * @param judged what detectors said of it: each finding and key at most once
   * @returns ends, then starts
   */
  observe(judged: readonly Judged[], end: IntervalEnd): FindingEvent[] {
    this.#refill(end.bootNs);
    const shown = new Set<string>();
    const refused = new Set<string>();
    for (const [key, each] of this.#byTracked(judged)) {
      const tracked = this.#tracked.get(key) ?? this.#begin(key, each, end, refused);
      if (tracked === undefined) continue;
      tracked.add(each);
      if (!each.holds && !(tracked.isActive && each.goesOn)) continue;
      tracked.show(each.value, end.timeUnixNs);
      shown.add(key);
    }
    this.#refused = refused;
    return [...this.#endOthers(shown, end), ...this.#startThose(shown, end)];
  }

  /** Ends all that is active, since nobody looks any more. */
  end(timeUnixNs: bigint): FindingEvent[] {
    const active = [...this.#tracked.values()].filter(({ isActive }) => isActive);
    this.#tracked.clear();
    return active.map((tracked) => tracked.event("end", timeUnixNs, "shutdown"));
  }

  active(): ActiveFinding[] {
    return [...this.#tracked.values()].filter(({ isActive }) => isActive).map((tracked) => tracked.active);
  }

  /** Starts by name, since the tracker was made. */
  started(): ReadonlyMap<FindingName, number> {
    return this.#started;
  }

  /**
   * Each under its own key, or under the one by which its place is tracked already: what was one of several is known better now,
   * or no more. No two have one.
   */
  #byTracked(judged: readonly Judged[]): Map<string, Judged> {
    const byKey = new Map(judged.map((each) => [`${each.finding} ${each.key}`, each]));
    for (const [own, each] of [...byKey]) {
      if (each.otherKeys === undefined || this.#tracked.has(own)) continue;
      const keys = [each.key, ...each.otherKeys];
      for (const [known, tracked] of this.#tracked) {
        if (tracked.name !== each.finding || byKey.has(known) || !tracked.keys.some((key) => keys.includes(key)))
          continue;
        byKey.delete(own);
        byKey.set(known, each);
        break;
      }
    }
    return byKey;
  }

  #begin(key: string, judged: Judged, { timeUnixNs }: IntervalEnd, refused: Set<string>): Tracked | undefined {
    if (!judged.holds) return undefined;
    if (this.#tracked.size >= this.#limits().limit) {
      refused.add(key);
      if (!this.#refused.has(key)) this.leftOut++;
      return undefined;
    }
    const tracked = new Tracked(judged, timeUnixNs);
    this.#tracked.set(key, tracked);
    return tracked;
  }

  #endOthers(shown: ReadonlySet<string>, { timeUnixNs }: IntervalEnd): FindingEvent[] {
    const ends: FindingEvent[] = [];
    for (const [key, tracked] of this.#tracked) {
      if (shown.has(key)) continue;
      tracked.missed++;
      if (tracked.isActive && tracked.missed < FINDINGS[tracked.name].endAfter) continue;
      this.#tracked.delete(key);
      if (tracked.isActive) ends.push(tracked.event("end", timeUnixNs, "recovery"));
      else if (tracked.isDue) this.leftOut++;
    }
    return ends;
  }

  #startThose(shown: ReadonlySet<string>, { timeUnixNs }: IntervalEnd): FindingEvent[] {
    const starts: FindingEvent[] = [];
    for (const key of shown) {
      const tracked = this.#tracked.get(key);
      if (tracked === undefined || tracked.isActive || tracked.intervals < FINDINGS[tracked.name].startAfter) continue;
      tracked.isDue = true;
      if (!this.#takeToken()) continue;
      tracked.isActive = true;
      this.#started.set(tracked.name, (this.#started.get(tracked.name) ?? 0) + 1);
      starts.push(tracked.event("start", timeUnixNs, undefined));
    }
    return starts;
  }

  #refill(bootNs: bigint): void {
    const { ratePerMinute } = this.#limits();
    const elapsedNs = this.#tokens === undefined ? 0 : Number(bootNs - this.#refilledNs);
    this.#tokens = Math.min(
      ratePerMinute,
      (this.#tokens ?? ratePerMinute) + (elapsedNs * ratePerMinute) / NS_PER_MINUTE,
    );
    this.#refilledNs = bootNs;
  }

  #takeToken(): boolean {
    if (this.#tokens === undefined || this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
