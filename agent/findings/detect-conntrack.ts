/**
 * Connection tracking of a net namespace: no room for a connection → conntrack_full; a packet that lost a race for its entry →
 * conntrack_insert_failed. Pure.
 *
 * The kernel counts a packet that lost a race in `insert_failed` and in `drop`. So what is dropped beyond that had no room. Which
 * packets these were, drops with the reason NETFILTER_DROP in the same namespace show.
 */
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_CONNTRACK_DROP,
  ATTR_FLOWSPAN_CONNTRACK_EARLY_DROP,
  ATTR_FLOWSPAN_CONNTRACK_FILL,
  ATTR_FLOWSPAN_CONNTRACK_INSERT_FAILED,
  ATTR_FLOWSPAN_CONNTRACK_MAXIMUM,
  ATTR_FLOWSPAN_NETNS,
} from "../generated/semconv.ts";
import { clientOf, most } from "./affected.ts";
import type { Candidate, Detector, Evidence, NamespaceEvidence } from "./evidence.ts";
import { accountsOf, dropPlaces, netnsPlace } from "./places.ts";

export const detectConntrackFull: Detector<"conntrack_full"> = (evidence, { threshold }) =>
  candidates(evidence, threshold, ({ conntrack: { drop, insertFailed, earlyDrop } }) => {
    return Math.max(0, drop - insertFailed) + earlyDrop;
  });

export const detectConntrackInsertFailed: Detector<"conntrack_insert_failed"> = (evidence, { threshold }) =>
  candidates(evidence, threshold, ({ conntrack: { insertFailed } }) => insertFailed);

function candidates(
  { namespaces, drops, pastDrops }: Evidence,
  threshold: number,
  lossesOf: (namespace: NamespaceEvidence) => number,
): Candidate[] {
  return [...namespaces.values()]
    .filter((namespace) => lossesOf(namespace) > 0)
    .map((namespace) => {
      const { id, netns, subject, conntrack } = namespace;
      // The counts are read a moment after the packets, which may be those of the interval before.
      const dropped = [...drops, ...pastDrops].filter(
        ({ key, reason }) => key.netns === netns && reason === "NETFILTER_DROP",
      );
      const value = lossesOf(namespace);
      return {
        key: id,
        subject,
        value,
        holds: value >= threshold,
        counts: {
          [ATTR_FLOWSPAN_CONNTRACK_INSERT_FAILED]: conntrack.insertFailed,
          [ATTR_FLOWSPAN_CONNTRACK_DROP]: conntrack.drop,
          [ATTR_FLOWSPAN_CONNTRACK_EARLY_DROP]: conntrack.earlyDrop,
        },
        facts: {
          [ATTR_FLOWSPAN_NETNS]: netns,
          [ATTR_FLOWSPAN_CONNTRACK_FILL]: conntrack.entries,
          [ATTR_FLOWSPAN_CONNTRACK_MAXIMUM]: conntrack.limit,
          [ATTR_FLOWSPAN_AFFECTED]: most(dropped, clientOf),
        },
        // Those of the interval before may be accounted for a second time: it is not known whether they were.
        accountsFor: [
          { place: netnsPlace(netns), count: conntrack.drop + conntrack.earlyDrop },
          ...accountsOf(dropped, dropPlaces),
        ],
      };
    });
}
