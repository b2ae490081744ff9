/** Each connection at each end is one record, with its own bytes, resets, outcome, process and times. */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Absent } from "./absent.ts";
import type { Precision, Seen } from "./compare.ts";
import { compareCgroup } from "./compare-cgroups.ts";
import { compareRange, compareSegments } from "./compare-segments.ts";
import { CLOCK_US, compareTimes } from "./compare-times.ts";
import { type Differences, describeEnd, describeRecord } from "./differences.ts";
import type { Look } from "./looks.ts";
import type { ExpectedEnd, Truth } from "./oracle.ts";
import {
  ADOPTED,
  CHECKPOINTED,
  EADDRNOTAVAIL,
  EINVAL,
  RESET_RECEIVED,
  RESET_SENT,
  RESTORED,
  UNSENT,
} from "./record-flags.ts";
import type { Trace } from "./trace.ts";
import type { Use, Uses } from "./uses.ts";
import type { Edge } from "./window.ts";
import type { Conversation } from "./wire.ts";

interface Circumstances {
  /** Records were lost: an end without one may be one of theirs. */
  readonly mayMiss: boolean;
  /** When the probe came; undefined: it was there before the program. */
  readonly start?: Edge | undefined;
}

export function compareEnds(
  { ends, uses }: Truth,
  trace: Trace,
  seen: Seen,
  said: Differences,
  { mayMiss, start }: Circumstances,
): Absent {
  const left = [...seen.records].sort((a, b) => Number(a.startNs - b.startNs));
  const absent: { missing: ExpectedEnd[]; doubtful: ExpectedEnd[] } = { missing: [], doubtful: [] };
  for (const end of ends) {
    if (end.use && end.use.restored > 0) {
      const parts = takeRestored(end, left, said);
      if (mayMiss) absent.doubtful.push(end);
      else if (parts) compareRestored(end, parts, seen.precision === undefined, said);
      continue;
    }
    const record = takeRecord(left, end, seen.precision, mayMiss);
    if (record) compareEnd(describeEnd(end), end, record, { trace, uses, said, precision: seen.precision, start });
    else if (mustHaveRecord(end)) absent.missing.push(end);
    else if (end.role === "client" || end.established !== false) absent.doubtful.push(end);
  }
  for (const record of left) said.add("record", `nothing happened that is this record: ${describeRecord(record)}`);
  if (!mayMiss) for (const end of absent.missing) said.add("record", `${describeEnd(end)} has no record`);
  return absent;
}

/** Not a server's end that may never have been, nor an attempt that died before it had a state. */
function mustHaveRecord({ established, role, conversation }: ExpectedEnd): boolean {
  return established === true || (established === false && role === "client" && conversation !== undefined);
}

/**
 * What TCP_REPAIR took from one socket to the next is a record for each of them.
 *
 * @returns in the order of `left`; undefined where nobody can know what became of its sockets
 */
function takeRestored(end: ExpectedEnd, left: Connection[], said: Differences): Connection[] | undefined {
  const { role, conversation, use } = end;
  if (!conversation) return undefined;
  const [local, remote] =
    role === "client" ? [conversation.client, conversation.server] : [conversation.server, conversation.client];
  // What a rule takes of the last socket is not on the wire (nf_hook_slow()): until its close no other has these two ends.
  const last = Math.max(conversation.last, use?.end?.to ?? Number.POSITIVE_INFINITY);
  const parts = left.filter(
    (record) =>
      record.localPort === local.port &&
      record.remotePort === remote.port &&
      isDuring(record, { ...conversation, last }),
  );
  for (const part of parts) left.splice(left.indexOf(part), 1);
  const name = describeEnd(end);
  if (use?.uncertain) return undefined;
  const roles = parts.filter(({ key }) => key.role !== role);
  if (roles.length > 0) said.add("repair", `${name}: is told as ${roles[0]?.key.role} after it was restored`);
  return parts;
}

/** Together they are the connection: each but the last goes on, each but the first was made anew, and the last one ends. */
function compareRestored(end: ExpectedEnd, parts: readonly Connection[], hasFlags: boolean, said: Differences): void {
  const name = describeEnd(end);
  const sum = (of: (part: Connection) => number) => parts.reduce((total, part) => total + of(part), 0);
  if (end.bytesSent !== undefined)
    said.equal(
      "bytes",
      `${name}: bytes sent by all its sockets`,
      sum((part) => part.bytesSent),
      end.bytesSent,
    );
  if (end.bytesReceived) {
    const received = sum((part) => part.bytesReceived);
    compareRange("bytes", `${name}: bytes received by all its sockets`, received, end.bytesReceived, said);
  }
  if (!hasFlags) return;
  said.equal("repair", `${name}: sockets that it had`, parts.length, (end.use?.restored ?? 0) + 1);
  for (const [i, { flags }] of parts.entries()) {
    const isLast = i === parts.length - 1;
    said.equal("repair", `${name}: socket ${i} was made anew`, (flags & RESTORED) !== 0, i > 0);
    said.equal("repair", `${name}: socket ${i} goes on elsewhere`, (flags & CHECKPOINTED) !== 0, !isLast);
    if (!isLast) said.equal("reset", `${name}: a RST of socket ${i}`, flags & (RESET_SENT | RESET_RECEIVED), 0);
  }
}

/**
 * Takes the first record that may be of this end out of those that are left, which are in order of their begin.
 *
 * @param mayMiss its own may be lost: only its port tells that a record is none of another's
 */
export function takeRecord(
  left: Connection[],
  end: ExpectedEnd,
  precision?: Precision,
  mayMiss = false,
): Connection | undefined {
  const index = left.findIndex((record) => isRecordOf(record, end, precision?.clockNs ?? 0, mayMiss));
  return index < 0 ? undefined : left.splice(index, 1)[0];
}

function isRecordOf(
  record: Connection,
  { role, conversation, use, established }: ExpectedEnd,
  clockNs: number,
  mayMiss: boolean,
): boolean {
  if (record.key.role !== role || (role === "server" && established === false)) return false;
  if (conversation === undefined)
    return use !== undefined && record.remotePort === use.remote.port && isWithin(record, use, clockNs);
  const [local, remote] =
    role === "client" ? [conversation.client, conversation.server] : [conversation.server, conversation.client];
  if (record.remotePort !== remote.port || record.key.remoteAddress.replace("::ffff:", "") !== remote.address)
    return false;
  if (role === "server") return record.localPort === local.port && isDuring(record, conversation);
  // A failed one may have lost its port: then the time tells it, where it is not that of a socket before it, which has one.
  const mayLackPort = use !== undefined && established === false && !mayMiss && record.localPort === 0;
  return record.localPort === local.port || (mayLackPort && isWithin(record, use, clockNs));
}

/** Two connections may have had the same two ends. */
function isDuring({ startNs, flags }: Connection, { began, last }: Conversation): boolean {
  const slack = CLOCK_US * 1000;
  return (flags & ADOPTED) !== 0 || (Number(startNs) >= began - slack && Number(startNs) <= last + slack);
}

function isWithin({ startNs }: Connection, { call }: Use, clockNs: number): boolean {
  return Number(startNs) >= call.from - clockNs && Number(startNs) <= call.to + clockNs;
}

export interface Context {
  readonly trace: Trace;
  readonly uses: Uses;
  readonly said: Differences;
  readonly precision?: Precision | undefined;
  readonly start?: Edge | undefined;
}

function compareEnd(name: string, end: ExpectedEnd, record: Connection, context: Context): void {
  const { trace, uses, said, precision } = context;
  const { role, use, conversation } = end;
  const errorName = precision?.errorName ?? String;
  const isOpen = record.establishedNs > 0n;
  const flags = record.flags;
  if (end.established !== undefined && !(flags & ADOPTED))
    said.equal("outcome", `${name}: established`, isOpen, end.established);
  if (end.errno !== undefined && !isOpen && end.errno !== EADDRNOTAVAIL && end.errno !== EINVAL)
    said.equal("outcome", `${name}: its error`, errorName(record.error), errorName(end.errno));
  if (end.errno === EADDRNOTAVAIL && record.error === 0)
    said.add("no-port", `${name}: no port was free, and it is cancelled`);
  // That a socket has listened only a probe knows that saw it listen.
  if (end.errno === EINVAL && !(flags & UNSENT) && !(context.start && record.error === EADDRNOTAVAIL))
    said.add("no-port", `${name}: connect() refused a socket that has listened, and its error is ${record.error}`);
  if (conversation && role === "client")
    said.equal("local-port", `${name}: local port`, record.localPort, conversation.client.port);
  const restored = (use?.restored ?? 0) > 0;
  if (end.bytesSent !== undefined && !restored)
    said.equal("bytes", `${name}: bytes sent`, record.bytesSent, end.bytesSent);
  if (end.bytesReceived && isOpen && !restored) {
    compareRange("bytes", `${name}: bytes received`, record.bytesReceived, end.bytesReceived, said);
  }
  if (end.resetSent !== undefined)
    said.equal("reset", `${name}: a RST was sent`, (flags & RESET_SENT) !== 0, end.resetSent);
  if (end.resetReceived !== undefined)
    said.equal("reset", `${name}: a RST came`, (flags & RESET_RECEIVED) !== 0, end.resetReceived);
  if (use && role === "client" && !(flags & ADOPTED))
    said.equal("process", `${name}: its process`, record.pid, trace.puppets[use.call.who]);
  if (role === "server" && conversation && record.pid !== 0) compareListener(name, end, record, context);
  compareSegments(name, end, record, said);
  if (!precision) compareCgroup(name, end, record, { trace, uses, said });
  compareTimes(name, end, record, said, precision);
}

/**
 * The one that listened on the very socket, as its accept() tells; unaccepted, one that listened on the port by then. Of
 * a listener that is older than the probe, one that held it as the probe came: a forked child may have the lower id.
 */
function compareListener(
  name: string,
  { conversation, use }: ExpectedEnd,
  record: Connection,
  { trace, uses, said, start }: Context,
): void {
  if (!conversation) return;
  const { server, last } = conversation;
  const listening = uses.listening.filter(({ port, from }) => port === server.port && from <= last + CLOCK_US * 1000);
  const names = use?.listener ? [use.listener] : [...new Set(listening.map(({ who }) => who))];
  const isOlder = start && listening.some(({ who, from }) => names.includes(who) && from <= start[1].to);
  const holders = isOlder ? start.flatMap((look) => holdersOfListeners(look, server.port)) : [];
  if (!holders.includes(record.pid) && !names.some((who) => trace.puppets[who] === record.pid))
    said.add("process", `${name}: its process is ${record.pid}, none that listened on ${server.port}: ${names.join()}`);
}

function holdersOfListeners({ sockets }: Look, port: number): readonly number[] {
  return sockets
    .filter(({ state, local }) => state === "LISTEN" && local.port === port)
    .flatMap(({ holders }) => holders);
}
