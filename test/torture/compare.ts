/**
 * Where what flowspan said of one program is not what it must be.
 *
 *   ends:   each connection at each end is one record, with its own bytes, resets, outcome and times (oracle.ts)
 *   sums:   edges are the sums of the records
 *   books:  sums over the edges are the kernel's counters of the namespace (`nstat`)
 *
 * Pure: each difference is a sentence under the name of its check; no difference is an empty list.
 */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection, NamespaceCounters } from "../../agent/model.ts";
import type { EdgeSum } from "../lab/tally.ts";
import { type ExpectedEnd, type Truth, truthOf } from "./oracle.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";
import type { Use, Uses } from "./uses.ts";
import type { Conversation } from "./wire.ts";

/** What flowspan said of one program's namespace. */
export interface Seen {
  readonly edges: readonly EdgeSum[];
  readonly records: readonly Connection[];
  /** What the probe read of the namespace's own books; undefined where it did not see the namespace. */
  readonly namespace: NamespaceCounters | undefined;
}

const EADDRNOTAVAIL = 99;

/** Everything in which `seen` is not what it must be. */
export function differences(
  program: Program,
  trace: Trace,
  seen: Seen,
  known: ReadonlySet<string> = new Set(),
): string[] {
  const truth = truthOf(program, trace);
  const said = new Differences(known);
  if (trace.clockMoved > CLOCK_US * 100) return ["clock: the wall clock was set: nothing can be said"];
  if (trace.missed > 0) said.add("interpreter", `the wire missed ${trace.missed} segments`);
  compareEnds(truth, trace, seen, said);
  compareSums(seen, truth.ends.some(({ isAbortOnData }) => isAbortOnData) ? "reset-by-data" : "reset-sums", said);
  compareBooks(trace, seen, said);
  return said.list;
}

/** Sentences, each under the name of its check: what is known and not mended yet is left out by that name. */
class Differences {
  readonly list: string[] = [];
  readonly #known: ReadonlySet<string>;

  constructor(known: ReadonlySet<string>) {
    this.#known = known;
  }

  add(check: string, sentence: string): void {
    if (!this.#known.has(check)) this.list.push(`${check}: ${sentence}`);
  }

  equal(check: string, what: string, is: unknown, must: unknown): void {
    if (is !== must) this.add(check, `${what} is ${is}, must be ${must}`);
  }
}

const ADOPTED = 1;
const RESET_SENT = 2;
const RESET_RECEIVED = 4;
const UNSENT = 16;
const RESTORED = 32;
const CHECKPOINTED = 64;

function compareEnds({ ends, uses }: Truth, trace: Trace, seen: Seen, said: Differences): void {
  const left = [...seen.records].sort((a, b) => Number(a.startNs - b.startNs));
  for (const end of ends) {
    if (end.use && end.use.restored > 0) {
      compareRestored(end, left, said);
      continue;
    }
    const index = left.findIndex((record) => isRecordOf(record, end));
    const record = left[index];
    if (record) left.splice(index, 1);
    const name = describeEnd(end);
    if (!record) {
      // A server's end that may never have been, or an attempt that died before it had a state.
      if (end.established === undefined || (end.role === "server" && !end.established)) continue;
      if (end.established === false && end.conversation === undefined) continue;
      said.add("record", `${name} has no record`);
      continue;
    }
    compareEnd(name, end, record, trace, uses, said);
  }
  for (const record of left) said.add("record", `nothing happened that is this record: ${describeRecord(record)}`);
  compareTraceIds(seen, ends, said);
}

/** What TCP_REPAIR took from one socket to the next is a record for each of them; together they are the connection. */
function compareRestored(end: ExpectedEnd, left: Connection[], said: Differences): void {
  const { role, conversation, use } = end;
  if (!conversation) return;
  const [local, remote] =
    role === "client" ? [conversation.client, conversation.server] : [conversation.server, conversation.client];
  const parts = left.filter(
    (record) => record.localPort === local.port && record.remotePort === remote.port && isDuring(record, conversation),
  );
  for (const part of parts) left.splice(left.indexOf(part), 1);
  const name = describeEnd(end);
  if (parts.length === 0) said.add("record", `${name} has no record`);
  if (use?.uncertain) return;
  const roles = parts.filter(({ key }) => key.role !== role);
  if (roles.length > 0) said.add("repair", `${name}: is told as ${roles[0]?.key.role} after it was restored`);
  const sent = parts.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  if (end.bytesSent !== undefined) said.equal("bytes", `${name}: bytes sent by all its sockets`, sent, end.bytesSent);
}

function isRecordOf(record: Connection, { role, conversation, use, established }: ExpectedEnd): boolean {
  if (record.key.role !== role || (role === "server" && established === false)) return false;
  if (conversation === undefined)
    return use !== undefined && record.remotePort === use.remote.port && isWithin(record, use);
  const [local, remote] =
    role === "client" ? [conversation.client, conversation.server] : [conversation.server, conversation.client];
  if (record.remotePort !== remote.port || record.key.remoteAddress.replace("::ffff:", "") !== remote.address)
    return false;
  if (role === "server") return record.localPort === local.port && isDuring(record, conversation);
  // A failed one may have lost its port: then the time tells it.
  return record.localPort === local.port || (use !== undefined && established === false && isWithin(record, use));
}

/** Two connections may have had the same two ends. */
function isDuring({ startNs, flags }: Connection, { began, last }: Conversation): boolean {
  const slack = CLOCK_US * 1000;
  return (flags & ADOPTED) !== 0 || (Number(startNs) >= began - slack && Number(startNs) <= last + slack);
}

function isWithin({ startNs }: Connection, { call }: Use): boolean {
  return Number(startNs) >= call.from && Number(startNs) <= call.to;
}

function compareEnd(
  name: string,
  end: ExpectedEnd,
  record: Connection,
  trace: Trace,
  uses: Uses,
  said: Differences,
): void {
  const { role, use, conversation } = end;
  const isOpen = record.establishedNs > 0n;
  const flags = record.flags;
  if (end.established !== undefined && !(flags & ADOPTED))
    said.equal("outcome", `${name}: established`, isOpen, end.established);
  if (end.errno !== undefined && !isOpen && end.errno !== EADDRNOTAVAIL)
    said.equal("outcome", `${name}: its error`, record.error, end.errno);
  if (end.errno === EADDRNOTAVAIL && record.error === 0)
    said.add("no-port", `${name}: no port was free, and it is cancelled`);
  if (conversation && role === "client")
    said.equal("local-port", `${name}: local port`, record.localPort, conversation.client.port);
  const restored = (use?.restored ?? 0) > 0;
  if (end.bytesSent !== undefined && !restored)
    said.equal("bytes", `${name}: bytes sent`, record.bytesSent, end.bytesSent);
  if (end.bytesReceived && isOpen && !restored) {
    const [low, high] = end.bytesReceived;
    if (record.bytesReceived < low || record.bytesReceived > high)
      said.add(
        "bytes",
        `${name}: bytes received is ${record.bytesReceived}, must be ${low}${high > low ? ` to ${high}` : ""}`,
      );
  }
  const reset = end.isAbortOnData ? "reset-by-data" : "reset";
  if (end.resetSent !== undefined)
    said.equal(reset, `${name}: a RST was sent`, (flags & RESET_SENT) !== 0, end.resetSent);
  if (end.resetReceived !== undefined)
    said.equal(reset, `${name}: a RST came`, (flags & RESET_RECEIVED) !== 0, end.resetReceived);
  if (use && role === "client" && record.pid !== 0)
    said.equal("process", `${name}: its process`, record.pid, trace.puppets[use.call.who]);
  if (role === "server" && conversation && record.pid !== 0)
    compareListener(name, conversation, record, trace, uses, said);
  compareTimes(name, end, record, uses, said);
}

function compareListener(
  name: string,
  { server }: Conversation,
  record: Connection,
  trace: Trace,
  uses: Uses,
  said: Differences,
): void {
  const owners = uses.listening.filter(({ port }) => port === server.port).map(({ who }) => trace.puppets[who]);
  if (!owners.includes(record.pid))
    said.add("process", `${name}: its process is ${record.pid}, none that listened on ${server.port}`);
}

/** One tick of the kernel's clock, in which busy time is counted. */
const TICK_US = 4000;

function compareTimes(
  name: string,
  { role, use, conversation }: ExpectedEnd,
  record: Connection,
  uses: Uses,
  said: Differences,
): void {
  const life = Number(record.endNs - record.startNs) / 1000;
  if (record.busyUs > life + 2 * TICK_US)
    said.add("busy", `${name}: busy for ${record.busyUs} µs of a life of ${life} µs`);
  if (use && role === "client" && !(record.flags & ADOPTED) && use.restored === 0) {
    const began = Number(record.startNs);
    if (began < use.call.from || (conversation && began > conversation.began + 1000 && began > use.call.to))
      said.add("times", `${name}: begins ${(began - use.call.from) / 1000} µs after its call`);
  }
  if (conversation && Number(record.startNs) < conversation.began - CLOCK_US * 1000 && !(record.flags & ADOPTED))
    said.add("times", `${name}: begins before its SYN`);
  if (conversation && record.establishedNs > 0n) compareHandshake(name, role, conversation, record, uses, said);
  if (conversation && record.endNs < record.startNs) said.add("times", `${name}: ends before it begins`);
}

/** Between two readings of a clock that belong together, on a busy machine. */
const CLOCK_US = 2000;

/** From the first SYN to the last ACK, or from a SYN-ACK to its answer, as the wire has them. */
function compareHandshake(
  name: string,
  role: string,
  { began, sent: { client, server } }: Conversation,
  record: Connection,
  uses: Uses,
  said: Differences,
): void {
  if (record.handshakeUs === 0 || record.flags & ADOPTED) return;
  const from = role === "client" ? began : server.firstSyn;
  const most = (client.firstAck - from) / 1000 + CLOCK_US;
  const isDeferred = uses.listening.some(({ port, defers }) => defers && port === record.key.serverPort);
  if (from > 0 && client.firstAck > 0 && record.handshakeUs > most)
    said.add(
      isDeferred ? "deferred" : "handshake",
      `${name}: its handshake took ${record.handshakeUs} µs, on the wire ${Math.round(most)} at most`,
    );
}

/** Both ends of a connection are in one trace; no two connections are. */
function compareTraceIds(seen: Seen, ends: readonly ExpectedEnd[], said: Differences): void {
  const traces = new Map<string, Connection[]>();
  for (const record of seen.records)
    if (record.establishedNs > 0n) traces.set(record.traceId, [...(traces.get(record.traceId) ?? []), record]);
  for (const [id, records] of traces) {
    const roles = records.map(({ key }) => key.role).sort();
    if (records.length > 2 || (records.length === 2 && roles.join() !== "client,server"))
      if (!ends.some(({ use }) => (use?.restored ?? 0) > 0))
        said.add("trace", `${records.length} records are in trace ${id}: ${records.map(describeRecord).join("; ")}`);
  }
  for (const client of seen.records) {
    if (client.key.role !== "client" || client.establishedNs === 0n) continue;
    const server = seen.records.find(
      ({ key, localPort, remotePort, establishedNs }) =>
        key.role === "server" &&
        establishedNs > 0n &&
        localPort === client.remotePort &&
        remotePort === client.localPort,
    );
    if (server && traces.get(client.traceId)?.length === 1 && traces.get(server.traceId)?.length === 1)
      said.add("trace", `two traces for one connection: ${describeRecord(client)}`);
  }
}

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
function compareSums(seen: Seen, resets: string, said: Differences): void {
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
      said.equal(
        counter.startsWith("reset") ? resets : (SUM_CHECKS[counter] ?? "sums"),
        `${name}: ${counter} of the edges`,
        count(edges, counter),
        sum,
      );
    }
}

/** Checks that a fault of their own can be named by. */
const SUM_CHECKS: { readonly [K in EdgeCountersField]?: string } = {
  busyUs: "busy",
  rwndLimitedUs: "busy",
  sndbufLimitedUs: "busy",
};

function count(edges: readonly EdgeSum[], ...counters: readonly EdgeCountersField[]): number {
  return edges.reduce((sum, edge) => sum + counters.reduce((part, name) => part + edge.counters[name], 0), 0);
}

const FAILED: readonly EdgeCountersField[] = [
  ...(["failedRefused", "failedTimedOut", "failedReset", "failedHostUnreachable"] as const),
  ...(["failedNetUnreachable", "failedCancelled", "failedOther"] as const),
];
const RETRANSMITS: readonly EdgeCountersField[] = [
  ...(["retransmitsSyn", "retransmitsFast", "retransmitsTimeout", "retransmitsTlp"] as const),
  ...(["retransmitsNonCongestion", "retransmitsOther"] as const),
];

/** Sums over the namespace are the kernel's own counters. */
function compareBooks(trace: Trace, seen: Seen, said: Differences): void {
  const book = (...names: string[]) => names.reduce((sum, name) => sum + (trace.books[name] ?? 0), 0);
  const clients = seen.edges.filter(({ key }) => key.role === "client");
  const servers = seen.edges.filter(({ key }) => key.role === "server");
  const both = [...clients, ...servers];
  const tcp = trace.books;
  said.equal("active-opens", "opened and failed", count(clients, "opened", ...FAILED), tcp["Tcp.ActiveOpens"]);
  said.equal("passive-opens", "opened by servers", count(servers, "opened"), tcp["Tcp.PassiveOpens"]);
  said.equal("retransmits", "segments sent again", count(both, ...RETRANSMITS), tcp["Tcp.RetransSegs"]);
  said.equal("retransmit-types", "SYNs sent again", count(both, "retransmitsSyn"), tcp["TcpExt.TCPSynRetrans"]);
  said.equal("retransmit-types", "fast retransmits", count(both, "retransmitsFast"), tcp["TcpExt.TCPFastRetrans"]);
  const probes = count(both, "retransmitsTlp");
  if (probes > book("TcpExt.TCPLossProbes"))
    said.add("retransmit-types", `${probes} tail loss probes sent again, of ${book("TcpExt.TCPLossProbes")}`);
  const timers = book("TcpExt.TCPTimeouts") - count(clients, "retransmitsSyn");
  // A timer that finds the window closed sends again without a count of its own.
  const isShut = book("TcpExt.TCPToZeroWindowAdv", "TcpExt.TCPWantZeroWindowAdv") > 0;
  if (count(both, "retransmitsTimeout") > 0 && timers <= 0 && !isShut)
    said.add("retransmit-types", `${count(both, "retransmitsTimeout")} timeouts, and no timer ran out`);
  const aborted = seen.records.filter(
    ({ establishedNs, state }) => establishedNs > 0n && (state === "established" || state === "close_wait"),
  );
  said.equal("estab-resets", "ended while established", aborted.length, tcp["Tcp.EstabResets"]);
  if (count(both, "resetSent") > book("Tcp.OutRsts"))
    said.add("out-rsts", `${count(both, "resetSent")} connections sent a RST, of ${book("Tcp.OutRsts")}`);
  if (count(both, "segsOut") > book("Tcp.OutSegs", "Tcp.RetransSegs"))
    said.add("segments", `${count(both, "segsOut")} segments, of ${book("Tcp.OutSegs", "Tcp.RetransSegs")}`);
  compareNamespace(trace, seen, said);
  const open = seen.edges.filter(({ open }) => open > 0);
  if (open.length > 0) said.add("open", `${open.length} edges have something open`);
}

const NAMESPACE_BOOKS: readonly (readonly [keyof NamespaceCounters, string])[] = [
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
];

/** The books that coverage divides by are this namespace's. */
function compareNamespace(trace: Trace, { namespace }: Seen, said: Differences): void {
  if (namespace === undefined) {
    said.add("namespace", "the probe did not see the namespace");
    return;
  }
  for (const [field, name] of NAMESPACE_BOOKS) said.equal("namespace", field, namespace[field], trace.books[name]);
}

function describeEnd({ role, conversation, use }: ExpectedEnd): string {
  const where = conversation
    ? `${conversation.client.address}/${conversation.client.port} → ${conversation.server.address}/${conversation.server.port}`
    : `→ ${use?.remote.address}/${use?.remote.port}`;
  return `${role} of ${where}${use ? ` (line ${use.call.line + 1}${use.end ? ` to ${use.end.line + 1}` : ""})` : ""}`;
}

function describeRecord(record: Connection): string {
  const { key, localPort, remotePort, error, flags, bytesSent, bytesReceived, segsOut } = record;
  return `${key.role} ${localPort} → ${remotePort}, error ${error}, flags ${flags}, sent ${bytesSent}, received ${bytesReceived}, ${segsOut} segments`;
}
