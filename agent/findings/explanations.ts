/**
 * One cause, one finding: where a finding that names the cause holds, those that only show its symptoms at the same place do not.
 *
 *   packets_dropped holds, accounts for a > b:80 ──► connect_unanswered of a > b:80 does not hold
 *
 * A symptom comes later than its cause: a connect fails when its last SYN has waited in vain. So an explanation holds for as
 * long as that may take. Counts of what is explained stay: the end of a finding that goes on has them. Pure but for its own state.
 */
import type { FindingName } from "../generated/findings.ts";
import type { Judged } from "./detect.ts";

/** By symptom: the causes that explain it at the places that they account for, and for how long after they were seen. */
const CAUSES: Partial<Readonly<Record<FindingName, { readonly of: readonly FindingName[]; readonly forS: number }>>> = {
  // The seventh SYN waits for 64 s, by net.ipv4.tcp_syn_retries = 6.
  connect_unanswered: {
    of: [
      "neighbour_table_overflow",
      "neighbour_unresolved",
      "packets_dropped",
      "conntrack_full",
      "conntrack_insert_failed",
    ],
    forS: 70,
  },
  // The timer doubles with each resend of one segment.
  retransmits: {
    of: ["neighbour_table_overflow", "packets_dropped", "mtu_black_hole", "conntrack_full", "conntrack_insert_failed"],
    forS: 15,
  },
  // The two counts are read one after the other.
  packets_dropped: { of: ["conntrack_full", "conntrack_insert_failed"], forS: 15 },
};

const KEPT_S = Math.max(...Object.values(CAUSES).map(({ forS }) => forS));
const NS_PER_S = 1e9;
/** Explanations at once; the oldest goes first. */
const LIMIT = 10_000;

export class Explanations {
  /** When it was seen last, by cause and place: the oldest come first. */
  readonly #seenNs = new Map<string, bigint>();

  /** Takes one interval. @returns the same, of which no symptom holds that a cause explains */
  observe(judged: readonly Judged[], bootNs: bigint): Judged[] {
    for (const { finding, holds, accountsFor = [] } of judged)
      if (holds) for (const place of accountsFor) this.#keep(`${finding} ${place}`, bootNs);
    for (const [key, seenNs] of this.#seenNs) {
      if (Number(bootNs - seenNs) / NS_PER_S <= KEPT_S && this.#seenNs.size <= LIMIT) break;
      this.#seenNs.delete(key);
    }
    return judged.map((each) => (each.holds && this.#isExplained(each, bootNs) ? { ...each, holds: false } : each));
  }

  #keep(key: string, bootNs: bigint): void {
    this.#seenNs.delete(key);
    this.#seenNs.set(key, bootNs);
  }

  #isExplained({ finding, shows = [] }: Judged, bootNs: bigint): boolean {
    const { of = [], forS = 0 } = CAUSES[finding] ?? {};
    const isSeen = (key: string) => {
      const seenNs = this.#seenNs.get(key);
      return seenNs !== undefined && Number(bootNs - seenNs) / NS_PER_S <= forS;
    };
    const isAccountedFor = (places: readonly string[]) =>
      of.some((cause) => places.some((place) => isSeen(`${cause} ${place}`)));
    return shows.length > 0 && shows.every(isAccountedFor);
  }
}
