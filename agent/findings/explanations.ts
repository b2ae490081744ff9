/**
 * One cause, one finding: what a finding that names the cause accounts for is taken out of those that only show its symptoms at the
 * same place. What is left over is judged as if it were all.
 *
 *   packets_dropped holds: 23 packets of a > b:80 ──► connect_unanswered of a > b:80 does not hold for 23 connects, and does for 100
 *
 * A symptom comes later than its cause: a connect fails when its last SYN has waited in vain. So an account holds for as long as that
 * may take, and once for each symptom. Counts of findings stay whole, but those of retransmits, whose place is sought without what is
 * explained. Pure but for its own state.
 */
import type { FindingName } from "../generated/findings.ts";
import type { Judged } from "./detect.ts";
import type { FindingLimits, Path } from "./evidence.ts";
import { lostOf } from "./paths.ts";
import { edgePlaces } from "./places.ts";

/** Which causes account for a symptom. */
interface Rule {
  readonly of: readonly FindingName[];
  /** Seconds after the cause was seen. */
  readonly forS: number;
  /** How much of the symptom one packet of the cause accounts for. */
  readonly each: number;
}

const NO_ROOM: readonly FindingName[] = ["neighbour_table_overflow", "conntrack_full", "conntrack_insert_failed"];
/** A node that does not answer, in the intervals in which it is silent or recovers. */
const SILENCE: Rule = { of: ["partition"], forS: 0, each: 1 };
/** Of 1,460 bytes, in a packet of 64 KiB that its device was to cut. */
const SEGMENTS_A_PACKET = 45;

const CAUSES: Partial<Readonly<Record<FindingName, readonly Rule[]>>> = {
  // The seventh SYN waits for 64 s, by net.ipv4.tcp_syn_retries = 6. Each connect that fails has lost one SYN or more.
  connect_unanswered: [SILENCE, { of: ["neighbour_unresolved", "packets_dropped", ...NO_ROOM], forS: 70, each: 1 }],
  // The timer doubles with each resend of one segment.
  retransmits: [SILENCE, { of: ["packets_dropped", "mtu_black_hole", ...NO_ROOM], forS: 15, each: SEGMENTS_A_PACKET }],
  slow_reader: [SILENCE],
  small_send_buffer: [SILENCE],
  neighbour_unresolved: [SILENCE],
  // The two counts are read one after the other, so that neither is exact.
  packets_dropped: [{ of: ["conntrack_full", "conntrack_insert_failed"], forS: 15, each: 2 }],
};

/** Accounts of a silence hold below the threshold, too: what it brings about comes at once, and not twice. */
const HOLDS_BELOW: ReadonlySet<FindingName> = new Set<FindingName>(["partition"]);

const KEPT_S = Math.max(...Object.values(CAUSES).flatMap((rules) => rules.map(({ forS }) => forS)));
const NS_PER_S = 1e9;
/** Accounts at once; the oldest go first. */
const LIMIT = 10_000;

/** What one cause was seen to do at one place in one interval. */
interface Account {
  count: number;
  /** By symptom: what it has accounted for. */
  readonly used: Map<FindingName, number>;
}

interface Interval {
  readonly bootNs: bigint;
  /** By cause and place. */
  readonly accounts: Map<string, Account>;
}

export class Explanations {
  /** The oldest come first. */
  #intervals: readonly Interval[] = [];

  /** Takes one interval. @returns the same, of which no symptom holds that its causes account for */
  observe(judged: readonly Judged[], limits: FindingLimits, bootNs: bigint): Judged[] {
    const accounts = new Map<string, Account>();
    this.#intervals = [...this.#intervals, { bootNs, accounts }];
    this.#forget(bootNs);
    // A symptom may be a cause, too: those that nothing explains come first, then those that only they explain.
    const left = new Map<Judged, Judged>();
    for (const each of judged.toSorted((a, b) => rankOf(a.finding) - rankOf(b.finding))) {
      const unexplained = this.#judge(each, limits, bootNs);
      left.set(each, unexplained);
      if (!unexplained.holds && !HOLDS_BELOW.has(each.finding)) continue;
      keep(accounts, unexplained);
      this.#forget(bootNs);
    }
    return judged.map((each) => left.get(each) ?? each);
  }

  /** Losses that no cause accounts for. Paths that nothing is lost on any more stay, as healthy ones. */
  withoutExplained(paths: readonly Path[], bootNs: bigint): Path[] {
    return paths.map((path) => {
      let { lost } = path;
      const edges = path.edges.filter((edge) => {
        const explained = this.#explained("retransmits", edgePlaces(edge), lostOf(edge), bootNs);
        lost -= explained;
        return explained < lostOf(edge);
      });
      return lost === path.lost ? path : { ...path, lost, edges };
    });
  }

  #judge(judged: Judged, limits: FindingLimits, bootNs: bigint): Judged {
    const { finding, holds, value, shows = [], isLargest = false } = judged;
    if (!holds || shows.length === 0) return judged;
    const explained = shows.map(({ places, count }) => this.#explained(finding, places, count, bootNs));
    const sum = explained.reduce((all, each) => all + each, 0);
    const left = isLargest ? Math.max(...shows.map(({ count }, i) => count - (explained[i] as number))) : value - sum;
    return sum > 0 && left < limits[finding].threshold ? { ...judged, holds: false } : judged;
  }

  /** @param count of the symptom, at something with all these places @returns how much of it is accounted for, from now on */
  #explained(finding: FindingName, places: readonly string[], count: number, bootNs: bigint): number {
    let left = count;
    for (const { of, forS, each } of CAUSES[finding] ?? [])
      for (const { bootNs: seenNs, accounts } of this.#intervals) {
        if (accounts.size === 0 || Number(bootNs - seenNs) / NS_PER_S > forS) continue;
        for (const key of of.flatMap((cause) => places.map((place) => `${cause} ${place}`))) {
          const account = accounts.get(key);
          if (account === undefined || left <= 0) continue;
          const used = account.used.get(finding) ?? 0;
          const part = Math.min(left, account.count * each - used);
          account.used.set(finding, used + part);
          left -= part;
        }
      }
    return count - left;
  }

  /** What is too old, or too much. */
  #forget(bootNs: bigint): void {
    let size = this.#intervals.reduce((sum, { accounts }) => sum + accounts.size, 0);
    this.#intervals = this.#intervals.filter(({ bootNs: seenNs, accounts }) => {
      const isLate = Number(bootNs - seenNs) / NS_PER_S > KEPT_S;
      const isKept = seenNs === bootNs || (accounts.size > 0 && !isLate && size <= LIMIT);
      if (!isKept) size -= accounts.size;
      return isKept;
    });
  }
}

function keep(accounts: Map<string, Account>, { finding, accountsFor = [] }: Judged): void {
  for (const { place, count } of accountsFor) {
    const key = `${finding} ${place}`;
    const known = accounts.get(key);
    if (known !== undefined) known.count += count;
    else if (accounts.size < LIMIT) accounts.set(key, { count, used: new Map() });
  }
}

/** How many causes in a row may stand behind a finding. */
function rankOf(finding: FindingName): number {
  const causes = (CAUSES[finding] ?? []).flatMap(({ of }) => of);
  return causes.length === 0 ? 0 : 1 + Math.max(...causes.map(rankOf));
}
