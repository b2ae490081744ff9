/** Edges are the sums of their records. */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeSum } from "../lab/tally.ts";
import type { Seen } from "./compare.ts";
import type { Differences } from "./differences.ts";
import { ADOPTED, CHECKPOINTED, EADDRNOTAVAIL, RESET_RECEIVED, RESET_SENT, RESTORED, UNSENT } from "./record-flags.ts";

const is = (value: unknown) => (value ? 1 : 0);
const failed = (errno: number) => (record: Connection) =>
  is(record.key.role === "client" && record.establishedNs === 0n && record.error === errno);

/** Counters of an edge, and what of each of its records adds up to them. */
const SUMS: readonly (readonly [EdgeCountersField, (record: Connection) => number])[] = [
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
  [
    "failedNotSent",
    ({ establishedNs, error, flags }) => is(establishedNs === 0n && error !== EADDRNOTAVAIL && flags & UNSENT),
  ],
];

function durationUs({ establishedNs, endNs, flags }: Connection): number {
  return establishedNs > 0n && !(flags & (ADOPTED | RESTORED | CHECKPOINTED))
    ? Number((endNs - establishedNs) / 1000n)
    : 0;
}

/** Edges are the sums of their records; only SYN-ACKs that were sent again may belong to no connection. */
export function compareSums(seen: Seen, said: Differences): void {
  const groups = new Map<string, { edges: EdgeSum[]; records: Connection[] }>();
  const group = ({ role, serverPort, cgroup }: Connection["key"]) => {
    const name = `${role} ${serverPort} of cgroup ${cgroup}`;
    const found = groups.get(name) ?? { edges: [], records: [] };
    groups.set(name, found);
    return found;
  };
  for (const edge of seen.edges) if (edge.key.role !== "listener") group(edge.key).edges.push(edge);
  for (const record of seen.records) group(record.key).records.push(record);
  for (const [name, { edges, records }] of groups)
    for (const [counter, of] of SUMS) {
      const sum = records.reduce((total, record) => total + of(record), 0);
      said.equal(SUM_CHECKS[counter] ?? "sums", `${name}: ${counter} of the edges`, count(edges, counter), sum);
    }
}

/** Checks that a fault of their own can be named by. */
const SUM_CHECKS: { readonly [K in EdgeCountersField]?: string } = {
  busyUs: "busy",
  rwndLimitedUs: "busy",
  sndbufLimitedUs: "busy",
  resetSent: "reset-sums",
  resetReceived: "reset-sums",
};

export function count(edges: readonly EdgeSum[], ...counters: readonly EdgeCountersField[]): number {
  return edges.reduce((sum, edge) => sum + counters.reduce((part, name) => part + edge.counters[name], 0), 0);
}
