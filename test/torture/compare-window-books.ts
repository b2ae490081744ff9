/** Sums over the edges of a window are what the namespace's own counters have grown by in it. */
import type { Seen } from "./compare.ts";
import { FAILED, mayCountTwice, NAMESPACE_BOOKS } from "./compare-books.ts";
import { compareRetransmits, mayBeShut } from "./compare-retransmits.ts";
import { compareRange } from "./compare-segments.ts";
import { count } from "./compare-sums.ts";
import type { Differences } from "./differences.ts";
import type { Look } from "./looks.ts";
import type { Trace } from "./trace.ts";
import { isFound, isSurelyWalked, type Told, type Window } from "./window.ts";

type Range = readonly [number, number];

export function compareWindowBooks(
  told: readonly Told[],
  window: Window,
  trace: Trace,
  seen: Seen,
  mayRefuse: boolean,
  said: Differences,
): void {
  const clients = seen.edges.filter(({ key }) => key.role === "client");
  const servers = seen.edges.filter(({ key }) => key.role === "server");
  const grown = (...names: readonly string[]) => growth(window, trace, names);
  const among = (look: Look | undefined, state: string) =>
    look?.sockets.filter((socket) => socket.state === state).length ?? 0;
  const [start, end] = [window.start?.[1], window.end?.[0]];
  const [active, most] = grown("Tcp.ActiveOpens");
  // A SYN that is older than the probe, or is not answered when it goes, is in one of the two.
  const connecters = told.filter(({ fate }) => fate === "connecting").map((each) => each.end);
  const older = connecters.length;
  const connecting = among(end, "SYN-SENT") + among(window.end?.[1], "SYN-SENT");
  const uncounted = (role: string) =>
    told.filter((each) => each.end.role === role && each.fate === "open" && !isSurelyWalked(each)).length;
  compareRange(
    "active-opens",
    "opened and failed",
    count(clients, "opened", ...FAILED),
    [active - connecting - uncounted("client"), most + older],
    said,
  );
  const twice = told.filter((each) => mayCountTwice(each.end)).length;
  const [passive, mostPassive] = grown("Tcp.PassiveOpens");
  compareRange(
    "passive-opens",
    "opened by servers",
    count(servers, "opened"),
    [passive - twice - among(end, "SYN-RECV") - uncounted("server"), mostPassive + among(start, "SYN-RECV")],
    said,
  );
  // What no edge has, only the books know: resends of what was missed, and of a SYN that is older.
  const mayLack = isBlurred(told, window) || older > 0;
  // What is known of an older MPTCP connection lies at its MPTCP socket, and events are its subflow's (bpf/tcp/mptcp.h).
  const mayBeUntyped = mayRefuse || told.some(({ from }) => from?.second.mptcp);
  // Once such a one is open it counts all its SYNs (connection__tell_syns()).
  const earlier = connecters.reduce((sum, { conversation }) => sum + (conversation?.sent.client.syns ?? 0), 0);
  const ofSyns = (name: string): Range => {
    const [least, most] = grown(name);
    return [least, OF_SYNS.has(name) ? most + earlier : most];
  };
  const resends = { grown: ofSyns, mayBeUntyped, mayLack, isShut: mayBeShut(trace) };
  compareRetransmits(resends, clients, [...clients, ...servers], said);
  const aborted = seen.records.filter(
    ({ establishedNs, state }) => establishedNs > 0n && (state === "established" || state === "close_wait"),
  );
  if (!isBlurred(told, window))
    compareRange("estab-resets", "ended while established", aborted.length, grown("Tcp.EstabResets"), said);
  compareNamespace(window, trace, seen, said);
}

/** Counters of the kernel that a SYN that is sent again adds to. */
const OF_SYNS: ReadonlySet<string> = new Set(["Tcp.RetransSegs", "TcpExt.TCPSynRetrans", "TcpExt.TCPTimeouts"]);

/** Sockets that the probe did not count, or not as the books do: of an older MPTCP socket it does not know how it ended. */
function isBlurred(told: readonly Told[], { start }: Window): boolean {
  return (
    told.some(({ fate, from }) => fate === "missed" || fate === "either" || from?.second.mptcp) ||
    told.some((each) => each.fate === "open" && !isSurelyWalked(each)) ||
    start?.some((look) => look.sockets.some((socket) => !RESTING.has(socket.state) && !isFound(look, socket))) === true
  );
}

/** Nothing of a connection is sent by them: what a TIME_WAIT answers is in no RetransSegs. */
const RESTING: ReadonlySet<string> = new Set(["LISTEN", "TIME-WAIT"]);

function growth({ start, end }: Window, { books }: Trace, names: readonly string[]): Range {
  const sum = (from: Readonly<Record<string, number>> | undefined) =>
    names.reduce((total, name) => total + (from?.[name] ?? 0), 0);
  const [first, last] = [start?.map((look) => sum(look.books)), end?.map((look) => sum(look.books))];
  return [(last?.[0] ?? sum(books)) - (first?.[1] ?? 0), (last?.[1] ?? sum(books)) - (first?.[0] ?? 0)];
}

/** What coverage divides by is absolute, and the namespace's whenever the probe came. */
function compareNamespace({ end }: Window, { books }: Trace, { namespace }: Seen, said: Differences): void {
  if (namespace === undefined) {
    said.add("namespace", "the probe did not see the namespace");
    return;
  }
  for (const [field, name] of NAMESPACE_BOOKS) {
    const [least, most] = end?.map((look) => look.books[name] ?? 0) ?? [books[name] ?? 0, books[name] ?? 0];
    compareRange("namespace", field, Number(namespace[field]), [least ?? 0, most ?? 0], said);
  }
}
