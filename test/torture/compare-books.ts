/** Sums over the edges of a namespace are the kernel's own counters of it, as `nstat` shows them. */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { NamespaceCounters } from "../../agent/model/probe-event.ts";
import type { Absent } from "./absent.ts";
import type { Seen } from "./compare.ts";
import { compareRetransmits, mayBeShut } from "./compare-retransmits.ts";
import { compareRange } from "./compare-segments.ts";
import { count } from "./compare-sums.ts";
import type { Differences } from "./differences.ts";
import type { ExpectedEnd, Truth } from "./oracle.ts";
import type { Range } from "./socket-life.ts";
import type { Trace } from "./trace.ts";

export const FAILED: readonly EdgeCountersField[] = [
  ...(["failedRefused", "failedTimedOut", "failedReset", "failedHostUnreachable"] as const),
  ...(["failedNetUnreachable", "failedCancelled", "failedOther"] as const),
];

/** Sums over the namespace are the kernel's own counters. */
export function compareBooks(
  { ends, rules }: Truth,
  trace: Trace,
  seen: Seen,
  absent: Absent,
  said: Differences,
): void {
  const book = (...names: string[]) => names.reduce((sum, name) => sum + (trace.books[name] ?? 0), 0);
  const clients = seen.edges.filter(({ key }) => key.role === "client");
  const servers = seen.edges.filter(({ key }) => key.role === "server");
  const both = [...clients, ...servers];
  const tcp = trace.books;
  said.equal("active-opens", "opened and failed", count(clients, "opened", ...FAILED), tcp["Tcp.ActiveOpens"]);
  const passive = tcp["Tcp.PassiveOpens"] ?? 0;
  const opened: Range = [passive - ends.filter(mayCountTwice).length, passive];
  compareRange("passive-opens", "opened by servers", count(servers, "opened"), opened, said);
  const grown = (name: string): Range => [book(name), book(name)];
  const resends = { grown, mayBeUntyped: rules.has("OUTPUT"), mayLack: false, isShut: mayBeShut(trace) };
  compareRetransmits(resends, clients, both, said);
  const aborted = seen.records.filter(
    ({ establishedNs, state }) => establishedNs > 0n && (state === "established" || state === "close_wait"),
  );
  // One that TCP_REPAIR took to other sockets has ended on each of them.
  const most = [...absent.missing, ...absent.doubtful].reduce((sum, { use }) => sum + 1 + (use?.restored ?? 0), 0);
  const resets = tcp["Tcp.EstabResets"] ?? 0;
  compareRange("estab-resets", "ended while established", aborted.length, [resets - most, resets], said);
  if (count(both, "resetSent") > book("Tcp.OutRsts"))
    said.add("out-rsts", `${count(both, "resetSent")} connections sent a RST, of ${book("Tcp.OutRsts")}`);
  if (count(both, "segsOut") > book("Tcp.OutSegs", "Tcp.RetransSegs"))
    said.add("segments", `${count(both, "segsOut")} segments, of ${book("Tcp.OutSegs", "Tcp.RetransSegs")}`);
  compareNamespace(trace, seen, said);
  const open = seen.edges.filter(({ open }) => open > 0);
  if (open.length > 0) said.add("open", `${open.length} edges have something open`);
}

/**
 * Two segments that complete a handshake on two CPUs at once make two children, each counted in PassiveOpens, and the
 * second is thrown away (tcp_v4_syn_recv_sock(), inet_ehash_nolisten()).
 */
export function mayCountTwice({ role, established, conversation }: ExpectedEnd): boolean {
  if (role !== "server" || established === false || !conversation) return false;
  const { packets, firstAck } = conversation.sent.client;
  return packets.filter(({ syn, rst, time }) => !syn && !rst && Math.abs(time - firstAck) < AT_ONCE_NS).length > 1;
}

const AT_ONCE_NS = 200_000;

export const NAMESPACE_BOOKS: readonly (readonly [keyof NamespaceCounters, string])[] = [
  ["activeOpens", "Tcp.ActiveOpens"],
  ["passiveOpens", "Tcp.PassiveOpens"],
  ["attemptFails", "Tcp.AttemptFails"],
  ["estabResets", "Tcp.EstabResets"],
  ["inSegs", "Tcp.InSegs"],
  ["outSegs", "Tcp.OutSegs"],
  ["retransSegs", "Tcp.RetransSegs"],
  ["outRsts", "Tcp.OutRsts"],
  ["listenOverflows", "TcpExt.ListenOverflows"],
  ["listenDrops", "TcpExt.ListenDrops"],
  ["syncookiesSent", "TcpExt.SyncookiesSent"],
  ["syncookiesReceived", "TcpExt.SyncookiesRecv"],
  ["syncookiesFailed", "TcpExt.SyncookiesFailed"],
  ["pruneCalled", "TcpExt.PruneCalled"],
  ["rcvPruned", "TcpExt.RcvPruned"],
  ["tcpRcvQDrop", "TcpExt.TCPRcvQDrop"],
  ["tcpAbortOnMemory", "TcpExt.TCPAbortOnMemory"],
  ["tcpMemoryPressures", "TcpExt.TCPMemoryPressures"],
];

/** The books that coverage divides by are this namespace's. */
function compareNamespace(trace: Trace, { namespace }: Seen, said: Differences): void {
  if (namespace === undefined) {
    said.add("namespace", "the probe did not see the namespace");
    return;
  }
  for (const [field, name] of NAMESPACE_BOOKS) said.equal("namespace", field, namespace[field], trace.books[name]);
}
