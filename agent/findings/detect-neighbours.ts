/**
 * Neighbours (ARP and ND): entries without room in the kernel's table → neighbour_table_overflow, of the node; neighbours that do
 * not answer → neighbour_unresolved, for each device. Pure.
 *
 * There is one table for each address family and the whole kernel. So the kernel's own count is the node's, and the programs' rows
 * say whom it has hurt.
 */
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH1,
  ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH2,
  ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH3,
  ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FILL,
  ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FULLS,
  ATTR_FLOWSPAN_NEIGHBOUR_TARGETS,
  ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED,
  ATTR_FLOWSPAN_NETNS,
  ATTR_NETWORK_INTERFACE_NAME,
  ATTR_NETWORK_TYPE,
} from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { NeighbourTable } from "../model/kernel-evidence.ts";
import type { LocalEnd } from "../model/names.ts";
import { most, nameOfEnd } from "./affected.ts";
import type { Accounted, Detector } from "./evidence.ts";
import { accountsOf, endPlace, nodePlace, targetPlace, unreachablePlace } from "./places.ts";

const FAMILIES: ReadonlyMap<number, NeighbourTable["family"]> = new Map([
  [0x0800, "ipv4"],
  [0x86dd, "ipv6"],
]);

export const detectNeighbourTable: Detector<"neighbour_table_overflow"> = (evidence, { threshold }) =>
  evidence.neighbourTables
    .filter(({ overflows }) => overflows > 0)
    .map(({ family, entries, thresholds, overflows }) => {
      const refused = evidence.neighbours.filter(
        ({ key }) => key.kind === "neighbour-overflow" && FAMILIES.get(key.etherType) === family,
      );
      return {
        key: family,
        subject: evidence.node(),
        value: overflows,
        holds: overflows >= threshold,
        counts: { [ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FULLS]: overflows },
        facts: {
          [ATTR_NETWORK_TYPE]: family,
          [ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FILL]: entries,
          [ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH1]: thresholds[0],
          [ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH2]: thresholds[1],
          [ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH3]: thresholds[2],
          [ATTR_FLOWSPAN_AFFECTED]: most(refused, ({ local }) => nameOfEnd(local)),
        },
        // All that a pod sends may need a new entry.
        // Whose the refusals are that found no row is not known.
        accountsFor: accountsOf(refused, (row) => placesOf(row, endPlace)).map(({ place }) => ({
          place,
          count: overflows,
        })),
      };
    });

export const detectNeighbourUnresolved: Detector<"neighbour_unresolved"> = ({ neighbours }, { threshold }) => {
  const unresolved = neighbours.filter(({ key }) => key.kind === "neighbour-unresolved");
  const groups = Map.groupBy(
    unresolved,
    ({ key, device, local }) => `${local.id} ${key.netns} ${key.ifindex} ${device} ${key.etherType}`,
  );
  return [...groups].map(([key, rows]) => {
    const [{ key: first, device, local }] = rows as [EvidenceGrowth, ...EvidenceGrowth[]];
    const value = Math.max(...rows.map(({ count }) => count));
    return {
      key,
      subject: local,
      value,
      holds: value >= threshold,
      counts: { [ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED]: rows.reduce((sum, { count }) => sum + count, 0) },
      facts: {
        [ATTR_FLOWSPAN_NETNS]: first.netns,
        [ATTR_NETWORK_TYPE]: FAMILIES.get(first.etherType) ?? "ipv4",
        ...(device === "" ? {} : { [ATTR_NETWORK_INTERFACE_NAME]: device }),
        [ATTR_FLOWSPAN_NEIGHBOUR_TARGETS]: most(rows, ({ key: { remoteAddress = "" } }) => remoteAddress),
      },
      shows: rows.map(({ remote, count }) => {
        return { places: remote?.nodeName === undefined ? [] : [nodePlace(remote.nodeName)], count };
      }),
      isLargest: true,
      // The neighbour may be the gateway of much else. The kernel ends such connects with host unreachable, and all that wait at once.
      accountsFor: accountsOf(rows, (row) => placesOf(row, unreachablePlace)).map(withoutCount),
    };
  });
};

/** @param ofPod what of a pod needs the entry; a node needs it to reach one address */
function placesOf({ key, local, isOwned }: EvidenceGrowth, ofPod: (local: LocalEnd) => string): string[] {
  return [
    ...(isOwned ? [ofPod(local)] : []),
    ...(key.remoteAddress === undefined ? [] : [targetPlace(key.remoteAddress)]),
  ];
}

const withoutCount = ({ place }: Accounted): Accounted => ({ place, count: Infinity });
