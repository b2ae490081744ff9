/**
 * Packets that a rule, a program or a limit of this node takes away → packets_dropped, one for each reason and net namespace. Pure.
 *
 * Some drops are in order: the end of a connection that is tracked no more, what a stranger sends to a closed port. So only such
 * packets speak for the finding as somebody misses: those that begin a connection, datagrams, and those of connections that
 * resend in the same interval. All ends must be the cluster's, or this node's pod must be the sender. The rest is counted beside them.
 */
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_DROP_PACKETS,
  ATTR_FLOWSPAN_DROP_REASON,
  ATTR_FLOWSPAN_DROP_SYNS,
  ATTR_FLOWSPAN_DROP_TARGETS,
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
} from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import { clientOf, most, targetOf } from "./affected.ts";
import { TROUBLE_REASONS } from "./drop-reasons.ts";
import { grownTogether, resent } from "./edge-places.ts";
import type { Candidate, Detector, EdgeEvidence } from "./evidence.ts";
import { accountsOf, dropPlaces, edgePlaces, edgesAt, edgesByPlace, netnsPlace } from "./places.ts";

/** Of edges with trouble, by place. */
interface Traffic {
  readonly byPlace: ReadonlyMap<string, readonly EdgeEvidence[]>;
  /** Places of those that resend. */
  readonly resending: ReadonlySet<string>;
}

const UDP = 17;
/** Whose packets a cluster's own rules may be expected to refuse. */
const STRANGERS: ReadonlySet<string> = new Set(["external", "unknown", "cidr"]);

export const detectPacketsDropped: Detector<"packets_dropped"> = (evidence, { threshold }) => {
  const { drops, pastDrops, edges, node } = evidence;
  const subjectOf = ({ key, local }: EvidenceGrowth) => (key.direction === "forward" ? node() : local);
  const keyOf = (drop: EvidenceGrowth) => `${subjectOf(drop).id} ${drop.reason} ${drop.key.netns}`;
  const groupsOf = (rows: readonly EvidenceGrowth[]) =>
    Map.groupBy(
      rows.filter(({ reason, isOwned }) => isOwned && TROUBLE_REASONS.has(reason)),
      keyOf,
    );
  const [now, past] = [groupsOf(drops), groupsOf(pastDrops)];
  const keys = new Set([...now.keys(), ...past.keys()]);
  if (keys.size === 0) return [];
  const resending = new Set(edges.filter((edge) => resent(edge) > 0).flatMap(edgePlaces));
  const traffic: Traffic = { byPlace: edgesByPlace(edges), resending };
  return [...keys].map((key) => {
    const [here = [], before = []] = [now.get(key), past.get(key)];
    const [first] = [...here, ...before] as [EvidenceGrowth, ...EvidenceGrowth[]];
    const judged = judge(here, before, traffic, threshold);
    // Those of connection tracking have the same reason as those of a rule.
    const isByRule = first.reason === "NETFILTER_DROP";
    const shows = isByRule ? [{ places: [netnsPlace(first.key.netns)], count: judged.value }] : [];
    return { key, subject: subjectOf(first), shows, ...judged };
  });
};

/** @param before rows of the seconds before: what they have caused comes now; one of both is there */
function judge(
  rows: readonly EvidenceGrowth[],
  before: readonly EvidenceGrowth[],
  { byPlace, resending }: Traffic,
  threshold: number,
): Omit<Candidate, "key" | "subject" | "shows"> {
  const [{ reason, key: first }] = [...rows, ...before] as [EvidenceGrowth, ...EvidenceGrowth[]];
  const missed = rows.filter((row) => isMissed(row, resending));
  const value = packetsOf(missed);
  const recent = [...missed, ...before];
  const hit = edgesAt(byPlace, new Set(recent.flatMap(dropPlaces)));
  return {
    value,
    holds: value >= threshold,
    counts: {
      [ATTR_FLOWSPAN_DROP_PACKETS]: packetsOf(rows),
      [ATTR_FLOWSPAN_DROP_SYNS]: packetsOf(rows.filter((row) => row.key.syn)),
      [ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN]: grownTogether(hit, "retransmitsSyn"),
    },
    facts: {
      [ATTR_FLOWSPAN_DROP_REASON]: reason,
      [ATTR_FLOWSPAN_NETNS]: first.netns,
      [ATTR_FLOWSPAN_AFFECTED]: most(recent, clientOf),
      [ATTR_FLOWSPAN_DROP_TARGETS]: most(recent, targetOf),
    },
    accountsFor: accountsOf(missed, dropPlaces),
  };
}

function isMissed(row: EvidenceGrowth, resending: ReadonlySet<string>): boolean {
  const { key, direction, remote } = row;
  if (direction === "receive" && STRANGERS.has(remote?.kind ?? "unknown")) return false;
  return key.syn || key.transport === UDP || dropPlaces(row).some((place) => resending.has(place));
}

function packetsOf(rows: readonly EvidenceGrowth[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}
