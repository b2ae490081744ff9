/**
 * Where what a probe said that was there for a part of a program is not what it must be: connections that are older than
 * it are told as adopted, with what they moved since their beginning in the record and since then in the edges.
 *
 * Pure, as compare.ts is; the same checks wherever the same thing is looked at.
 */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Seen } from "./compare.ts";
import { compareCgroup, compareEdgeCgroups } from "./compare-cgroups.ts";
import { type Context, compareEnds } from "./compare-ends.ts";
import { compareRange } from "./compare-segments.ts";
import { count, SUMS } from "./compare-sums.ts";
import { compareWindowBooks } from "./compare-window-books.ts";
import { Differences, describeEnd, describeRecord } from "./differences.ts";
import type { SocketCounters } from "./looks.ts";
import { truthOf } from "./oracle.ts";
import type { Program } from "./program.ts";
import { ADOPTED, CHECKPOINTED, RESET_RECEIVED, RESET_SENT, RESTORED } from "./record-flags.ts";
import type { Trace } from "./trace.ts";
import { countedBy, isSurelyWalked, type Standing, type Told, toldIn, type Window } from "./window.ts";

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
  const told = toldIn(window, truth.ends);
  const left = [...seen.records];
  const adopted = takeAdopted(told, left, { trace, uses: truth.uses, said });
  takeOthers(told, left, said);
  const within = told.filter(({ fate }) => fate === "within").map(({ end }) => end);
  compareEnds({ ...truth, ends: within }, trace, { ...seen, records: left }, said, false);
  // Such a socket goes on counting the times that its former connection was busy.
  const mayCarry = program.some((line) => line.includes(" unspec "));
  // What an OUTPUT rule refuses `ss` counts as sent, and once more when it is sent again: no byte count of before is left.
  const mayRefuse = program.some((line) => line.startsWith(". rule") && line.includes(" OUTPUT "));
  compareWindowSums(told, adopted, seen, { mayCarry, mayRefuse }, said);
  compareWindowBooks(told, window, trace, seen, said);
  // An edge of unknown role has no port by which to tell whose it may be; its records are looked at.
  const named = seen.edges.filter(({ key }) => key.serverPort !== 0);
  compareEdgeCgroups(named, { trace, uses: truth.uses, said });
  return said.list;
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
    compareAdopted(name, each, each.from, record, context);
  }
  return adopted;
}

function compareAdopted(
  name: string,
  { end, hides }: Told,
  { second }: Standing,
  record: Connection,
  context: Context,
): void {
  const { said } = context;
  const isRestored = (end.use?.restored ?? 0) > 0;
  if (record.key.serverPort === 0) {
    if (!hides) said.add("role", `${name}: its role is not known, though its socket shows it`);
  } else said.equal("role", `${name}: its role`, record.key.role, end.role);
  said.equal(
    "times",
    `${name}: when it was established, after its beginning`,
    record.establishedNs - record.startNs,
    0n,
  );
  said.equal("handshake", `${name}: its handshake took`, record.handshakeUs, 0);
  said.equal("process", `${name}: its process`, record.pid, 0);
  compareCgroup(name, end, record, context);
  if (isRestored || record.flags & CHECKPOINTED) return;
  const bytes = second.mptcp ? OF_CLOSE_MISSED : "bytes";
  if (end.bytesSent !== undefined) said.equal(bytes, `${name}: bytes sent`, record.bytesSent, end.bytesSent);
  if (end.bytesReceived) compareRange(bytes, `${name}: bytes received`, record.bytesReceived, end.bytesReceived, said);
  if (second.mptcp) {
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

/** Records of what may have been told or not, and of handshakes that are older than the probe, are not compared here. */
function takeOthers(told: readonly Told[], left: Connection[], said: Differences): void {
  for (const each of told) {
    if (each.fate === "either") take(left, each);
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
  const isOf = ({ startNs, localPort, remotePort, flags }: Connection) =>
    (local === undefined || localPort === local.port) &&
    remotePort === remote.port &&
    ((from !== undefined && (flags & ADOPTED) !== 0) ||
      (Number(startNs) >= (conversation?.began ?? use?.call.from ?? 0) - SLACK_NS &&
        Number(startNs) <= (conversation?.last ?? use?.call.to ?? 0) + SLACK_NS));
  const found = left.filter(isOf);
  for (const record of found) left.splice(left.indexOf(record), 1);
  return found;
}

const SLACK_NS = 2_000_000;

/** What of an adopted connection's growth is its record less what it had counted by then. */
const COUNTED: { readonly [K in EdgeCountersField]?: keyof SocketCounters } = {
  bytesSent: "bytesSent",
  bytesReceived: "bytesReceived",
  segsOut: "segsOut",
  segsIn: "segsIn",
  spurious: "spurious",
  outOfOrder: "outOfOrder",
  busyUs: "busyUs",
  rwndLimitedUs: "rwndLimitedUs",
  sndbufLimitedUs: "sndbufLimitedUs",
};

/** Growth of edges is that of records, less what was counted before the probe came, and of what was open when it went. */
function compareWindowSums(
  told: readonly Told[],
  adopted: ReadonlyMap<Connection, Standing>,
  seen: Seen,
  { mayCarry, mayRefuse }: { readonly mayCarry: boolean; readonly mayRefuse: boolean },
  said: Differences,
): void {
  const nameOf = ({ role, serverPort }: Pick<Connection["key"], "role" | "serverPort">) => `${role} ${serverPort}`;
  const blurred = new Set(told.filter(({ fate }) => fate === "either").map(({ end }) => groupOf(end)));
  const open = told.filter(({ fate }) => fate === "open");
  const names = new Set([
    ...seen.edges.filter(({ key }) => key.role !== "listener").map(({ key }) => nameOf(key)),
    ...seen.records.map(({ key }) => nameOf(key)),
    ...open.map(({ end }) => groupOf(end)),
  ]);
  for (const name of names) {
    if (blurred.has(name)) continue;
    const edges = seen.edges.filter(({ key }) => nameOf(key) === name);
    const records = seen.records.filter(({ key }) => nameOf(key) === name);
    const stillOpen = open.filter(({ end }) => groupOf(end) === name);
    const before = records.flatMap((record) => adopted.get(record) ?? []);
    for (const [counter, of] of SUMS) {
      if (counter === "bytesSent" && mayRefuse) continue;
      const sum = records.reduce((total, record) => total + of(record), 0);
      const [least, most] = add(
        ...before.map((standing) => negative(countedUntil(standing, counter))),
        ...stillOpen.map((each) => growthOf(each, counter, mayCarry)),
      );
      const range = [sum + least, sum + most] as const;
      compareRange("sums", `${name}: ${counter} of the edges`, count(edges, counter), range, said);
    }
    compareRange(
      "open",
      `${name}: open connections`,
      edges.reduce((sum, edge) => sum + edge.open, 0),
      [stillOpen.filter(isSurelyWalked).length, stillOpen.length],
      said,
    );
  }
}

type Range = readonly [number, number];

function add(...ranges: readonly Range[]): Range {
  return ranges.reduce<Range>(([low, high], [least, most]) => [low + least, high + most], [0, 0]);
}

function negative([least, most]: Range): Range {
  return [-most, -least];
}

function countedUntil(standing: Standing, counter: EdgeCountersField): Range {
  // Records tell types from the moment on at which somebody asked for records, edges from adoption on.
  if (counter.startsWith("retransmits")) {
    const [least, most] = countedBy(standing, "retransmits");
    return [least - most, 0];
  }
  const field = COUNTED[counter];
  return field ? countedBy(standing, field) : [0, 0];
}

const BUSY: ReadonlySet<EdgeCountersField> = new Set(["busyUs", "rwndLimitedUs", "sndbufLimitedUs"]);

/** What a connection that stays open has added to its edge; where no walk may have come by, perhaps nothing. */
function growthOf(each: Told, counter: EdgeCountersField, mayCarry: boolean): Range {
  const [least, most] = wholeGrowthOf(each, counter);
  const isSure = isSurelyWalked(each) && !(mayCarry && BUSY.has(counter));
  return [isSure ? least : Math.min(0, least), most];
}

function wholeGrowthOf({ end, from, until }: Told, counter: EdgeCountersField): Range {
  if (!until) return [0, 0];
  // A restored socket opened nothing.
  if (counter === "opened") return from ? [0, 0] : [end.use?.restored ? 0 : 1, 1];
  if (counter === "handshakeUs") return from ? [0, 0] : [0, Number.POSITIVE_INFINITY];
  // Which type each was, only a record would say.
  if (counter.startsWith("retransmits")) return [0, until.second.counters.retransmits];
  return add(countedUntil(until, counter), ...(from ? [negative(countedUntil(from, counter))] : []));
}

function groupOf({ role, conversation, use }: Told["end"]): string {
  return `${role} ${conversation?.server.port ?? use?.remote.port}`;
}
