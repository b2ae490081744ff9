/**
 * What a probe that was there for a part of a program must tell of each end of each connection, and how much of it.
 *
 *         ┌─ start: two looks, the probe adopts between them      end: two looks, it goes between them ─┐
 *   ──────┴───────────────────────────────────── window ────────────────────────────────────────────────┴──────
 *   before │ adopted, missed                          within                                       open │ after
 *
 * Each look is of `ss` (looks.ts): what moved between two of them was counted or not, nobody can know.
 */
import { readFileSync } from "node:fs";
import { isOpen, type ListedSocket, type Look, type SocketCounters } from "./looks.ts";
import type { ExpectedEnd } from "./oracle.ts";
import type { Rules } from "./rules.ts";
import type { End, Trace } from "./trace.ts";

/** Looks before and after a probe came or went. */
export type Edge = readonly [Look, Look];

export interface Window {
  /** Undefined: the probe was there before the program. */
  readonly start: Edge | undefined;
  /** Undefined: it was there to the program's end. */
  readonly end: Edge | undefined;
}

export type Fate =
  /** It had ended when the probe came: nothing of it is told. */
  | "before"
  /** Older than the probe, which found it: a record that says so, and growth from then on. */
  | "adopted"
  /** Older, and no file leads to it: a named loss, and one more when it closes. */
  | "missed"
  /** Its SYN is older, its handshake is not: opened, but where it fails it is a named loss. */
  | "connecting"
  /** Began and ended under the probe. */
  | "within"
  /** Open when the probe went: growth and no record. */
  | "open"
  /** Began when the probe was gone. */
  | "after"
  /** Came or went while the probe did. */
  | "either";

/** A socket in both looks of an edge; counters may have moved in between. */
export interface Standing {
  readonly first: ListedSocket;
  readonly second: ListedSocket;
}

export interface Told {
  readonly end: ExpectedEnd;
  readonly fate: Fate;
  /** At the window's start: what it counted by then is not in the growth. */
  readonly from: Standing | undefined;
  /** At the window's end: what it counted by then is growth, and in no record. */
  readonly until: Standing | undefined;
  /** Its socket may show nothing of who opened it. */
  readonly hides: boolean;
}

/** @returns undefined where nobody looked at the barrier of that line */
export function edgeAt(trace: Trace, line: number): Edge | undefined {
  const looks = trace.looks.filter((look) => look.line === line);
  const [first, second] = [looks[0], looks.at(-1)];
  return first && second ? [first, second] : undefined;
}

/** What must be told of each of them, in their order. */
export function toldIn({ start, end }: Window, ends: readonly ExpectedEnd[], rules: Rules): Told[] {
  return ends.map((expected) => {
    const at = (edge: Edge | undefined): Sockets | undefined =>
      edge && [socketOf(edge[0], expected, ends), socketOf(edge[1], expected, ends)];
    const [from, until] = [at(start), at(end)];
    const older = start && from && fateAtStart(start, expected, from);
    const later = end && until && fateAtEnd(end, expected, until);
    const fate = older !== undefined && older !== "adopted" ? older : (later ?? older ?? "within");
    const hides = start !== undefined && hidesRole(start[1], expected, rules);
    return { end: expected, fate, from: standing(from), until: standing(until), hides };
  });
}

/** One end's socket in the two looks of an edge. */
type Sockets = readonly [ListedSocket | undefined, ListedSocket | undefined];

/** @returns undefined where it began after the probe came */
function fateAtStart(edge: Edge, expected: ExpectedEnd, [first, second]: Sockets): Fate | undefined {
  if (first && second && first.cookie !== second.cookie) return "either";
  if (first && second && isOpen(first) && isOpen(second)) return isFound(edge[1], second) ? "adopted" : "missed";
  if (second?.state === "SYN-SENT") return "connecting";
  // A full socket comes of it later, or none: as with any other handshake.
  if (second?.state === "SYN-RECV") return undefined;
  if (first || second) return "either";
  return fateUnlisted(edge, expected, { earlier: "before", later: undefined });
}

/** @returns undefined where it has ended by then */
function fateAtEnd(edge: Edge, expected: ExpectedEnd, [first, second]: Sockets): Fate | undefined {
  if (first && second && isOpen(first) && isOpen(second)) return "open";
  if (first || second) return "either";
  return fateUnlisted(edge, expected, { earlier: undefined, later: "after" });
}

/** Of what no look has: it was over by then, or came later; a handshake that failed may have been tried again. */
function fateUnlisted(
  [first, second]: Edge,
  expected: ExpectedEnd,
  fates: { readonly earlier: Fate | undefined; readonly later: Fate | undefined },
): Fate | undefined {
  const began = beginningOf(expected);
  if (began > second.to) return fates.later;
  if (began > first.from - CLOCK_NS) return "either";
  const wasAccepted = expected.use !== undefined && expected.use.call.to <= first.from;
  const isLater = expected.role === "server" && !wasAccepted && (expected.conversation?.last ?? 0) > first.from;
  return isLater ? "either" : fates.earlier;
}

/** The wire has another clock than the looks. */
const CLOCK_NS = 300_000;

/** The moment at which there was a socket for it, or would have been. */
function beginningOf({ role, conversation, use }: ExpectedEnd): number {
  const answered = role === "server" ? conversation?.sent.server.firstSyn : 0;
  return answered || (conversation?.began ?? use?.call.from ?? 0);
}

function standing([first, second]: Sockets = [undefined, undefined]): Standing | undefined {
  return first && second && isOpen(first) && isOpen(second) ? { first, second } : undefined;
}

/** The end's socket, if it was there at that moment; of several that had the same two ends only the last can be. */
function socketOf(look: Look, expected: ExpectedEnd, ends: readonly ExpectedEnd[]): ListedSocket | undefined {
  const place = placeOf(expected);
  const began = expected.conversation?.began ?? expected.use?.call.from ?? 0;
  if (!place || began > look.to) return undefined;
  const isLast = !ends.some(
    (other) =>
      other.role === expected.role &&
      placeOf(other) === place &&
      (other.conversation?.began ?? 0) > began &&
      (other.conversation?.began ?? 0) <= look.from,
  );
  if (!isLast) return undefined;
  return look.sockets.find(
    ({ state, local, remote }) => state !== "TIME-WAIT" && `${text(local)} ${text(remote)}` === place,
  );
}

/** Local and remote end in one text; undefined where the kernel did not say which port it was. */
function placeOf({ role, conversation, use }: ExpectedEnd): string | undefined {
  if (!conversation) return use?.local && `${text(use.local)} ${text(use.remote)}`;
  const { client, server } = conversation;
  return role === "client" ? `${text(client)} ${text(server)}` : `${text(server)} ${text(client)}`;
}

function text({ address, port }: End): string {
  return `${address}/${port}`;
}

/**
 * Accepted from a listener without room for anybody (`listen(fd, 0)`) that is gone, or restored, or left in repair mode,
 * in which what is sent moves the sequence and not `bytes_sent`: who opened it then shows nowhere. Nor of a client that was bound, when a rule has refused what it sent: `bytes_sent` has that, and hides
 * the SYN among what was acknowledged (__tcp_transmit_skb(), bpf/tcp/roles.h).
 */
function hidesRole(look: Look, { role, conversation, use }: ExpectedEnd, rules: Rules): boolean {
  if ((use?.restored ?? 0) > 0 || use?.uncertain) return true;
  if (role === "client" && use?.bound && conversation && rules.takes("OUTPUT", role, conversation.server.port))
    return true;
  const isListened = look.sockets.some(
    ({ state, local }) => state === "LISTEN" && local.port === conversation?.server.port,
  );
  return role === "server" && !isListened;
}

let isReadable: boolean | undefined;

/** Whether programs can read an MPTCP socket's subflow: not before 6.2 (bpf/tcp/mptcp.h). Older ones are missed there. */
function mptcpIsReadable(): boolean {
  isReadable ??= readFileSync("/sys/kernel/btf/vmlinux").includes("KF_bpf_rdonly_cast");
  return isReadable;
}

/** Whether adoption comes to it: by a file of its own, or by that of the TCP listener in whose accept queue it is. */
export function isFound(look: Look, socket: ListedSocket): boolean {
  if (socket.mptcp && !mptcpIsReadable()) return false;
  if (socket.holders.length > 0) return true;
  if (socket.inode !== 0 || !(socket.state === "ESTAB" || socket.state === "CLOSE-WAIT")) return false;
  return look.sockets.some(
    ({ state, local, mptcp, holders }) =>
      state === "LISTEN" && local.port === socket.local.port && !mptcp && holders.length > 0,
  );
}

/** Whether each walk comes to it while it is open. Of an MPTCP socket that is older than the look, only the first subflow. */
export function isSurelyWalked({ from, until }: Told): boolean {
  return until !== undefined && (!until.second.mptcp || from !== undefined);
}

/** What may have been counted by then: the least and the most. */
export function countedBy({ first, second }: Standing, counter: keyof SocketCounters): readonly [number, number] {
  const [one, other] = [first.counters[counter], second.counters[counter]];
  return [Math.min(one, other), Math.max(one, other)];
}
