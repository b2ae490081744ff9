/** Edges are the sums of their records. */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import { type Absent, surplusOf } from "./absent.ts";
import type { Seen } from "./compare.ts";
import { compareRange } from "./compare-segments.ts";
import type { Differences } from "./differences.ts";
import { ADOPTED, CHECKPOINTED, EADDRNOTAVAIL, RESET_RECEIVED, RESET_SENT, RESTORED, UNSENT } from "./record-flags.ts";

const is = (value: unknown) => (value ? 1 : 0);
const failed = (errno: number) => (record: Connection) =>
  is(record.key.role === "client" && record.establishedNs === 0n && record.error === errno && !isNotSent(record));
const isNotSent = ({ error, flags }: Connection) => error !== EADDRNOTAVAIL && (flags & UNSENT) !== 0;

/** Counters of an edge, and what of each of its records adds up to them. */
export const SUMS: readonly (readonly [EdgeCountersField, (record: Connection) => number])[] = [
  ["opened", ({ establishedNs, flags }) => is(establishedNs > 0n && !(flags & (ADOPTED | RESTORED)))],
  ["closed", ({ establishedNs, flags }) => is(establishedNs > 0n && !(flags & CHECKPOINTED))],
  ["bytesSent", ({ bytesSent }) => bytesSent],
  ["bytesReceived", ({ bytesReceived }) => bytesReceived],
  ["segsOut", ({ segsOut }) => segsOut],
  ["segsIn", ({ segsIn }) => segsIn],
  ["retransmitsFast", ({ retransmitsFast }) => retransmitsFast],
  ["retransmitsTimeout", ({ retransmitsTimeout }) => retransmitsTimeout],
  ["retransmitsTlp", ({ retransmitsTlp }) => retransmitsTlp],
  ["retransmitsNonCongestion", ({ retransmitsNonCongestion }) => retransmitsNonCongestion],
  ["spurious", ({ spurious }) => spurious],
  ["outOfOrder", ({ outOfOrder }) => outOfOrder],
  ["busyUs", ({ busyUs }) => busyUs],
  ["rwndLimitedUs", ({ rwndLimitedUs }) => rwndLimitedUs],
  ["sndbufLimitedUs", ({ sndbufLimitedUs }) => sndbufLimitedUs],
  ["resetSent", ({ flags }) => is(flags & RESET_SENT)],
  ["resetReceived", ({ flags }) => is(flags & RESET_RECEIVED)],
  [
    "handshakeUs",
    ({ establishedNs, flags, handshakeUs }) => (establishedNs > 0n && !(flags & ADOPTED) ? handshakeUs : 0),
  ],
  ["durationUs", durationUs],
  ["failedRefused", failed(111)],
  ["failedTimedOut", failed(110)],
  ["failedReset", failed(104)],
  ["failedHostUnreachable", failed(113)],
  ["failedNetUnreachable", failed(101)],
  ["failedCancelled", failed(0)],
  ["failedNoLocalPort", failed(EADDRNOTAVAIL)],
  ["failedNotSent", (record) => is(record.establishedNs === 0n && isNotSent(record))],
];

function durationUs({ establishedNs, endNs, flags }: Connection): number {
  return establishedNs > 0n && !(flags & (ADOPTED | RESTORED | CHECKPOINTED))
    ? Number((endNs - establishedNs) / 1000n)
    : 0;
}

/**
 * Edges are the sums of their records, and of what those without one have counted; only SYN-ACKs that were sent again may
 * belong to no connection.
 */
export function compareSums(seen: Seen, absent: Absent, said: Differences): void {
  const groups = new Map<string, { key: EdgeKey; edges: EdgeSum[]; records: Connection[] }>();
  // With an end absent, its role and port are one group: the edges' cgroups are compared by themselves.
  const isWhole = absent.missing.length + absent.doubtful.length === 0;
  const group = (key: EdgeKey) => {
    const name = `${key.role} ${key.serverPort}${isWhole ? ` of cgroup ${key.cgroup}` : ""}`;
    const found = groups.get(name) ?? { key, edges: [], records: [] };
    groups.set(name, found);
    return found;
  };
  for (const edge of seen.edges) if (edge.key.role !== "listener") group(edge.key).edges.push(edge);
  for (const record of seen.records) group(record.key).records.push(record);
  for (const [name, { key, edges, records }] of groups)
    for (const [counter, of] of SUMS) {
      const sum = records.reduce((total, record) => total + of(record), 0);
      const [low, high] = surplusOf(counter, absent, key);
      const check = SUM_CHECKS[counter] ?? "sums";
      compareRange(check, `${name}: ${counter} of the edges`, count(edges, counter), [sum + low, sum + high], said);
    }
}

/** Checks that a fault of their own can be named by. */
const SUM_CHECKS: { readonly [K in EdgeCountersField]?: string } = {
  busyUs: "busy-sums",
  rwndLimitedUs: "busy-sums",
  sndbufLimitedUs: "busy-sums",
  resetSent: "reset-sums",
  resetReceived: "reset-sums",
};

export function count(edges: readonly EdgeSum[], ...counters: readonly EdgeCountersField[]): number {
  return edges.reduce((sum, edge) => sum + counters.reduce((part, name) => part + edge.counters[name], 0), 0);
}
