/**
 * Packets that are too large for the next link and are sent again and again → mtu_black_hole, for each server and client. Pure.
 *
 * Where path MTU discovery works, a sender hears of the limit by ICMP and sends smaller segments at once: its packets are dropped in one
 * interval. Where ICMP is kept from it, its timer sends the same segment for minutes. This node sees what it drops itself; a link
 * between nodes that is not the cluster's shows as retransmits.
 */
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_DROP_PACKETS,
  ATTR_FLOWSPAN_DROP_TARGETS,
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_NETWORK_INTERFACE_NAME,
} from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import { clientOf, most, targetOf } from "./affected.ts";
import { grownTogether } from "./edge-places.ts";
import type { Detector } from "./evidence.ts";
import { dropPlaces, edgesAt, edgesByPlace } from "./places.ts";

export const detectMtuBlackHole: Detector<"mtu_black_hole"> = ({ drops, edges, node }, { threshold }) => {
  const tooBig = drops.filter((drop) => drop.reason === "PKT_TOO_BIG" && dropPlaces(drop).length > 0);
  if (tooBig.length === 0) return [];
  const byPlace = edgesByPlace(edges);
  return [...Map.groupBy(tooBig, (drop) => `${dropPlaces(drop)[0]} ${drop.key.netns}`)].map(([key, rows]) => {
    const [first] = rows as [EvidenceGrowth, ...EvidenceGrowth[]];
    const value = rows.reduce((sum, { count }) => sum + count, 0);
    const places = dropPlaces(first);
    return {
      key,
      subject: first.key.direction === "forward" ? node() : first.local,
      value,
      holds: value >= threshold,
      counts: {
        [ATTR_FLOWSPAN_DROP_PACKETS]: value,
        [ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT]: grownTogether(edgesAt(byPlace, places), "retransmitsTimeout"),
      },
      facts: {
        [ATTR_FLOWSPAN_NETNS]: first.key.netns,
        ...(first.device === "" ? {} : { [ATTR_NETWORK_INTERFACE_NAME]: first.device }),
        [ATTR_FLOWSPAN_AFFECTED]: most(rows, clientOf),
        [ATTR_FLOWSPAN_DROP_TARGETS]: most(rows, targetOf),
      },
      accountsFor: places.map((place) => ({ place, count: value })),
    };
  });
};
