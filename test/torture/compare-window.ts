/**
 * Where what a probe said that was there for a part of a program is not what it must be: connections that are older than
 * it are told as adopted, with what they moved since their beginning in the record and since then in the edges.
 *
 * Pure, as compare.ts is; the same checks wherever the same thing is looked at.
 */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Seen } from "./compare.ts";
import { compareCgroup, compareEdgeCgroups } from "./compare-cgroups.ts";
import { type Context, compareEnds } from "./compare-ends.ts";
import { compareRange } from "./compare-segments.ts";
import { compareTraceIds } from "./compare-traces.ts";
import { compareWindowBooks } from "./compare-window-books.ts";
import { type Assigned, compareWindowSums } from "./compare-window-sums.ts";
import { Differences, describeEnd, describeRecord } from "./differences.ts";
import { type ExpectedEnd, truthOf } from "./oracle.ts";
import type { Program } from "./program.ts";
import { ADOPTED, CHECKPOINTED, RESET_RECEIVED, RESET_SENT, RESTORED } from "./record-flags.ts";
import type { Trace } from "./trace.ts";
import { type Standing, type Told, toldIn, type Window } from "./window.ts";

/** Everything in which `seen` is not what it must be in that window. */
export function differencesInWindow(
  program: Program,
  trace: Trace,
  seen: Seen,
  window: Window,
  known: ReadonlySet<string> = new Set(),
): string[] {
  const said = new Differences(known);
  if (trace.clockMoved > MOVED_US) return ["clock: the wall clock was set: nothing can be said"];
  if (trace.missed > 0) said.add("interpreter", `the wire missed ${trace.missed} segments`);
  const truth = truthOf(program, trace);
  const told = toldIn(window, truth.ends, truth.rules);
  const left = [...seen.records];
  const context = { trace, uses: truth.uses, said };
  const adopted = takeAdopted(told, left, context);
  const either = takeEither(told, left, context);
  takeOthers(told, left, said);
  const within = told.filter(({ fate }) => fate === "within").map(({ end }) => end);
  compareEnds({ ...truth, ends: within }, trace, { ...seen, records: left }, said, {
    mayMiss: false,
    start: window.start,
  });
  // Such a socket goes on counting the times that its former connection was busy.
  const mayCarry = program.some((line) => line.includes(" unspec "));
  // What an OUTPUT rule refuses `ss` counts as sent, and once more when it is sent again: no byte count of before is left.
  const mayRefuse = truth.rules.has("OUTPUT");
  const assigned = { adopted, ...either };
  compareTraceIds({ ...seen, records: traceable(seen, truth.ends, assigned) }, truth.ends, said);
  compareWindowSums(told, assigned, seen, { mayCarry, mayRefuse }, said);
  compareWindowBooks(told, window, trace, seen, mayRefuse, said);
  // An edge of unknown role has no port by which to tell whose it may be; its records are looked at.
  const named = seen.edges.filter(({ key }) => key.serverPort !== 0);
  compareEdgeCgroups(named, context);
  return said.list;
}

/**
 * Records whose trace can be known: not of an older connection of unknown role, since an opener's SYN counts as a byte; nor
 * of an older MPTCP socket, which may have outlived its subflow; nor of one that was restored before the probe came.
 */
function traceable({ records }: Seen, ends: readonly ExpectedEnd[], { adopted }: Assigned): Connection[] {
  const restored = new Set(
    ends.flatMap(({ use, conversation }) => (use?.restored && conversation ? [conversation] : [])),
  );
  const isOfRestored = ({ localPort, remotePort }: Connection) =>
    [...restored].some(({ client, server }) =>
      [client, server].every(({ port }) => port === localPort || port === remotePort),
    );
  return records.filter(
    (record) => record.key.serverPort !== 0 && !adopted.get(record)?.second.mptcp && !isOfRestored(record),
  );
}

const MOVED_US = 200_000;

/** Takes the records of what is older out of `left`, and gives each with what it had counted by then. */
function takeAdopted(told: readonly Told[], left: Connection[], context: Context): Map<Connection, Standing> {
  const { said } = context;
  const adopted = new Map<Connection, Standing>();
  for (const each of told) {
    if (each.fate !== "adopted" || !each.from) continue;
    const name = describeEnd(each.end);
    const records = take(left, each);
    const record = records.find(({ flags }) => flags & ADOPTED && !(flags & RESTORED));
    if (!record) said.add("record", `${name} was open when the probe came, and has no record`);
    for (const other of records)
      if (other !== record && !(other.flags & RESTORED))
        said.add("record", `${name} was open when the probe came, and is told again: ${describeRecord(other)}`);
    if (!record) continue;
    adopted.set(record, each.from);
    compareAdopted(name, record, said);
    compareLasting(name, each, each.from.second.mptcp, record, context);
  }
  return adopted;
}

/** Its beginning is the probe's. */
function compareAdopted(name: string, record: Connection, said: Differences): void {
  said.equal(
    "times",
    `${name}: when it was established, after its beginning`,
    record.establishedNs - record.startNs,
    0n,
  );
  said.equal("handshake", `${name}: its handshake took`, record.handshakeUs, 0);
  said.equal("process", `${name}: its process`, record.pid, 0);
}

/** What a record tells of the whole connection, whenever the probe came. */
function compareLasting(
  name: string,
  { end, hides }: Told,
  isMptcp: boolean,
  record: Connection,
  context: Context,
): void {
  const { said } = context;
  const isRestored = (end.use?.restored ?? 0) > 0;
  if (record.key.serverPort === 0) {
    if (!hides) said.add("role", `${name}: its role is not known, though its socket shows it`);
  } else said.equal("role", `${name}: its role`, record.key.role, end.role);
  compareCgroup(name, end, record, context);
  if (isRestored || record.flags & CHECKPOINTED) return;
  const bytes = isMptcp ? OF_CLOSE_MISSED : "bytes";
  if (end.bytesSent !== undefined) said.equal(bytes, `${name}: bytes sent`, record.bytesSent, end.bytesSent);
  if (end.bytesReceived) compareRange(bytes, `${name}: bytes received`, record.bytesReceived, end.bytesReceived, said);
  if (isMptcp) {
    said.equal(
      "reset",
      `${name}: a RST of a subflow, which is not told`,
      record.flags & (RESET_SENT | RESET_RECEIVED),
      0,
    );
    return;
  }
  if (end.resetSent !== undefined)
    said.equal("reset", `${name}: a RST was sent`, isSet(record.flags, RESET_SENT), end.resetSent);
  if (end.resetReceived !== undefined)
    said.equal("reset", `${name}: a RST came`, isSet(record.flags, RESET_RECEIVED), end.resetReceived);
}

/** The check of what is missing where an older subflow was gone before its MPTCP socket: `close_missed` counts that. */
export const OF_CLOSE_MISSED = "subflow-bytes";

const isSet = (flags: number, flag: number) => (flags & flag) !== 0;

/** Of what came or went while the probe did there may be a record; if there is, it is of all that the connection was. */
function takeEither(
  told: readonly Told[],
  left: Connection[],
  context: Context,
): Pick<Assigned, "eitherWith" | "eitherWithout"> {
  const eitherWith = new Set<Connection>();
  const eitherWithout: ExpectedEnd[] = [];
  for (const each of told) {
    if (each.fate !== "either") continue;
    const records = take(left, each);
    for (const record of records) eitherWith.add(record);
    const [record, ...others] = records.filter(({ flags }) => !(flags & (RESTORED | CHECKPOINTED)));
    if (!record) eitherWithout.push(each.end);
    const name = describeEnd(each.end);
    for (const other of others) context.said.add("record", `${name} is told twice: ${describeRecord(other)}`);
    if (!record || record.establishedNs === 0n) continue;
    if (record.flags & ADOPTED) compareAdopted(name, record, context.said);
    compareLasting(name, each, each.end.use?.mptcp === true, record, context);
  }
  return { eitherWith, eitherWithout };
}

/** Of handshakes that are older than the probe, and of what is restored and open, little can be known. */
function takeOthers(told: readonly Told[], left: Connection[], said: Differences): void {
  for (const each of told) {
    // The sockets that it had before it was restored on another one are told as checkpointed.
    if (each.fate === "open" && (each.end.use?.restored ?? 0) > 0)
      for (const record of take(left, each))
        if (!(record.flags & CHECKPOINTED))
          said.add("record", `${describeEnd(each.end)} is open, and has a record: ${describeRecord(record)}`);
    if (each.fate !== "connecting") continue;
    const [record] = take(left, each).filter(({ establishedNs }) => establishedNs > 0n);
    const name = describeEnd(each.end);
    if (!record && each.end.established) said.add("record", `${name} was opened under the probe, and has no record`);
    if (record && each.end.bytesSent !== undefined && !each.end.use?.restored)
      said.equal("bytes", `${name}: bytes sent`, record.bytesSent, each.end.bytesSent);
  }
}

/** All records of the end's sockets: it may have been restored on a second one. A server's port may be unknown. */
function take(left: Connection[], { end, from }: Told): Connection[] {
  const { role, conversation, use } = end;
  const [local, remote] =
    role === "client"
      ? [conversation?.client ?? use?.local, conversation?.server ?? use?.remote]
      : [conversation?.server, conversation?.client];
  if (!remote) return [];
  const isOf = ({ startNs, localPort, remotePort, flags, establishedNs }: Connection) =>
    (local === undefined ? establishedNs === 0n : localPort === local.port) &&
    remotePort === remote.port &&
    ((from !== undefined && (flags & ADOPTED) !== 0) ||
      (Number(startNs) >= (conversation?.began ?? use?.call.from ?? 0) - SLACK_NS &&
        Number(startNs) <= (conversation?.last ?? use?.call.to ?? 0) + SLACK_NS));
  const found = left.filter(isOf);
  for (const record of found) left.splice(left.indexOf(record), 1);
  return found;
}

const SLACK_NS = 2_000_000;
