/**
 * What a probe must tell that was there for a part of a program (test/torture/window.ts, compare-window.ts): a hand-written
 * trace of one connection of each fate, and what a right probe says of it.
 */
import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import type { EdgeSum } from "../../lab/agents/tally.ts";
import type { Seen } from "../../torture/compare.ts";
import { differencesInWindow } from "../../torture/compare-window.ts";
import { parseSockets } from "../../torture/looks.ts";
import { expectedLosses } from "../../torture/losses.ts";
import { truthOf } from "../../torture/oracle.ts";
import { type Program, parseProgram } from "../../torture/program.ts";
import { ADOPTED } from "../../torture/record-flags.ts";
import { parseTrace } from "../../torture/trace.ts";
import { edgeAt, toldIn } from "../../torture/window.ts";

const MS = 1_000_000;
const BARRIER_LINE = 20;

/**
 * Five connections to one listener: 41 ended before the barrier, 42 goes on, 43's server end is on its way to another
 * process, 44 waits to be accepted, 46 began afterwards. 45 has sent a SYN that nobody has answered.
 */
const PROGRAM = parseProgram(`
  b sock 0 4
  b bind 0 127.0.0.1 8000
  b listen 0 16
  a sock 1 4
  a connect 1 127.0.0.1 8000
  b accept 0 1
  a close 1
  b close 1
  a sock 2 4
  a connect 2 127.0.0.1 8000
  b accept 0 2
  a send 2 1009
  a sock 3 4
  a connect 3 127.0.0.1 8000
  b accept 0 3
  b give 3
  b close 3
  a sock 4 4
  a connect 4 127.0.0.1 8000
  a sock 5 4 nonblocking
  . barrier
  a send 2 23
  a close 2
  b recv 2 2000
  b close 2
  a sock 6 4
  a connect 6 127.0.0.1 8000
  b accept 0 6
  a close 6
  b close 6
`);

let clock = 100 * MS;
const ends = (port: number) => `local=127.0.0.1/${port} remote=127.0.0.1/8000`;
const accepted = (port: number, slot: number) => `local=127.0.0.1/8000 remote=127.0.0.1/${port} to=${slot}`;

function call(line: number, text: string, result = 0, said = ""): string {
  clock += MS;
  const [who, name, slot] = text.split(" ");
  return `call ${line} ${who} ${name} ${slot} ${clock - MS / 2} ${clock} ${result} 0 ${said}`.trim();
}

/** A segment between the client's port and 8000; `>` from the client. */
function wire(port: number, direction: ">" | "<", flags: string, seq: number, ack: number, payload = 0): string {
  const [from, to] = direction === ">" ? [port, 8000] : [8000, port];
  return `wire ${clock - MS / 4} 127.0.0.1 ${from} 127.0.0.1 ${to} ${flags}. ${seq} ${ack} ${payload} 64`;
}

const handshake = (port: number) => [
  wire(port, ">", "S", 1000, 0),
  wire(port, "<", "SA", 5000, 1001),
  wire(port, ">", "A", 1001, 5001),
];

const LISTEN = "socket LISTEN 1 16 127.0.0.1:8000 0.0.0.0:* ino:100 sk:1 cgroup:/lab/b <-> cubic";
const open = (port: number, side: "client" | "server", inode: number, counters: string) =>
  side === "client"
    ? `socket ESTAB 0 0 127.0.0.1:${port} 127.0.0.1:8000 ino:${inode} sk:${port}a cgroup:/lab/a <-> ${counters}`
    : `socket ESTAB 0 0 127.0.0.1:8000 127.0.0.1:${port} ino:${inode} sk:${port}b cgroup:/lab/b <-> ${counters}`;

function look(): string[] {
  clock += 2 * MS;
  return [
    `look ${BARRIER_LINE} ${clock - MS}`,
    LISTEN,
    open(42, "client", 42, "bytes_sent:1009 bytes_acked:1010 segs_out:3 segs_in:2 busy:4ms"),
    open(42, "server", 142, "bytes_received:1009 segs_out:1 segs_in:3"),
    open(43, "client", 43, "bytes_acked:1 segs_out:2 segs_in:1"),
    open(43, "server", 143, "segs_in:2"),
    open(44, "client", 44, "bytes_acked:1 segs_out:2 segs_in:1"),
    open(44, "server", 0, "segs_in:2"),
    "socket SYN-SENT 0 1 127.0.0.1:45 127.0.0.1:8000 ino:45 sk:45a cgroup:/lab/a <-> segs_out:1",
    ...["holds 7 42", "holds 7 43", "holds 7 44", "holds 7 45", "holds 8 100", "holds 8 142"],
    "books Tcp: ActiveOpens PassiveOpens RetransSegs EstabResets",
    "books Tcp: 5 4 0 0",
    `looked ${BARRIER_LINE} ${clock}`,
  ];
}

const LINES = [
  ...["netns 9", "realtime 0", "puppet a 7", "puppet b 8", "cgroup a 1", "cgroup b 2"],
  ...[call(0, "b sock 0"), call(2, "b listen 0", 0, "local=127.0.0.1/8000")],
  ...[call(3, "a sock 1"), call(4, "a connect 1", 0, ends(41)), ...handshake(41)],
  ...[call(5, "b accept 0", 5, accepted(41, 1)), call(6, "a close 1"), wire(41, ">", "FA", 1001, 5001)],
  ...[call(7, "b close 1"), wire(41, "<", "FA", 5001, 1002), wire(41, ">", "A", 1002, 5002)],
  ...[call(8, "a sock 2"), call(9, "a connect 2", 0, ends(42)), ...handshake(42)],
  ...[call(10, "b accept 0", 6, accepted(42, 2)), call(11, "a send 2", 1009), wire(42, ">", "A", 1001, 5001, 1009)],
  ...[wire(42, "<", "A", 5001, 2010), call(12, "a sock 3"), call(13, "a connect 3", 0, ends(43)), ...handshake(43)],
  ...[call(14, "b accept 0", 7, accepted(43, 3)), call(15, "b give 3"), call(16, "b close 3")],
  ...[call(17, "a sock 4"), call(18, "a connect 4", 0, ends(44)), ...handshake(44), call(19, "a sock 5")],
  `barrier ${BARRIER_LINE}`,
  ...look(),
  ...look(),
  ...[call(21, "a send 2", 23), wire(42, ">", "A", 2010, 5001, 23), wire(42, "<", "A", 5001, 2033)],
  ...[call(22, "a close 2"), wire(42, ">", "FA", 2033, 5001), call(23, "b recv 2", 1032)],
  ...[call(24, "b close 2", 0, "unread=0"), wire(42, "<", "FA", 5001, 2034), wire(42, ">", "A", 2034, 5002)],
  ...[call(25, "a sock 6"), call(26, "a connect 6", 0, ends(46)), ...handshake(46)],
  ...[call(27, "b accept 0", 9, accepted(46, 6)), call(28, "a close 6"), wire(46, ">", "FA", 1001, 5001)],
  ...[call(29, "b close 6", 0, "unread=0"), wire(46, "<", "FA", 5001, 1002), wire(46, ">", "A", 1002, 5002)],
  ...["books Tcp: ActiveOpens PassiveOpens RetransSegs EstabResets", "books Tcp: 6 5 0 2", "realtime 0", "end"],
];
const TRACE = parseTrace(LINES);
const START = edgeAt(TRACE, BARRIER_LINE);
const WINDOW = { start: START, end: undefined };
const TRUTH = truthOf(PROGRAM, TRACE);

test("each end of a connection has the fate that what was open at the barrier gives it", () => {
  const told = toldIn(WINDOW, TRUTH.ends, TRUTH.rules);

  expect(told.map(({ end, fate }) => `${end.role} ${end.conversation?.client.port} ${fate}`)).toEqual([
    ...["client 41 before", "server 41 before", "client 42 adopted", "server 42 adopted"],
    ...["client 43 adopted", "server 43 missed", "client 44 adopted", "server 44 adopted"],
    ...["client 46 within", "server 46 within"],
  ]);
});

test("a probe that goes at the barrier knows what had ended by then, and the growth of what is open", () => {
  const told = toldIn({ start: undefined, end: START }, TRUTH.ends, TRUTH.rules);

  expect(told.map(({ end, fate }) => `${end.role} ${end.conversation?.client.port} ${fate}`)).toEqual([
    ...["client 41 within", "server 41 within", "client 42 open", "server 42 open", "client 43 open"],
    ...["server 43 open", "client 44 open", "server 44 open", "client 46 after", "server 46 after"],
  ]);
});

test("a socket on its way to another process is the only one that adoption misses", () => {
  expect(expectedLosses({ window: WINDOW, seen: seen() })).toEqual({
    not_adopted: [1, 1],
    // The SYN that nobody has answered may yet fail.
    closed_untracked: [1, 2],
    role_unknown_detail: [0, 0],
    process_unknown_detail: [0, 0],
    close_missed: [0, 0],
    handshake_untimed_detail: [0, 0],
  });
});

test("what a right probe says of them differs in nothing", () => {
  expect(differencesInWindow(PROGRAM, TRACE, seen(), WINDOW)).toEqual([]);
});

const WRONG: readonly (readonly [string, (right: Seen) => Seen])[] = [
  ["a record of what had ended", (right) => withRecord(right, record("client", 41, { startNs: 103n, bytesSent: 0 }))],
  ["no record of what was open", (right) => without(right, 42, "client")],
  ["the wrong end", (right) => changed(right, 42, "server", { key: key("client", 1) })],
  ["an unknown role", (right) => changed(right, 44, "server", { key: { ...key("server", 2), serverPort: 0 } })],
  ["bytes since adoption only", (right) => changed(right, 42, "client", { bytesSent: 23 })],
  ["a handshake", (right) => changed(right, 42, "client", { handshakeUs: 5 })],
  ["another cgroup", (right) => changed(right, 42, "client", { key: { ...key("client"), cgroup: 3n } })],
  ["a reset", (right) => changed(right, 42, "client", { flags: ADOPTED | 4 })],
  ["opened", (right) => grown(right, "client", "opened")],
  ["growth from before", (right) => grown(right, "client", "bytesSent", 1009)],
  ["a segment too many", (right) => grown(right, "server", "segsIn")],
  ["a close too few", (right) => grown(right, "client", "closed", -1)],
  ["another trace at one end", (right) => changed(right, 46, "server", { traceId: "of nobody" })],
  ["another trace at one end of what is older", (right) => changed(right, 42, "server", { traceId: "of nobody" })],
];

test.each(WRONG)("a probe that tells %s is told so", (_, wrong) => {
  expect(differencesInWindow(PROGRAM, TRACE, wrong(seen()), WINDOW)).not.toEqual([]);
});

test("a listener's process is one that held it as the probe came, and none that held it at another moment", () => {
  const child = 108;
  const told = changed(seen(), 46, "server", { pid: child });
  const said = (lines: readonly string[]) => {
    const trace = parseTrace(lines);
    return differencesInWindow(PROGRAM, trace, told, { start: edgeAt(trace, BARRIER_LINE), end: undefined });
  };
  const held = `holds ${child} 100`;
  const later = [`look 24 ${clock}`, LISTEN, held, `looked 24 ${clock}`];

  expect(said(LINES.flatMap((line) => (line === "holds 8 100" ? [line, held] : [line])))).toEqual([]);
  expect(said([...LINES, ...later])).toEqual([expect.stringContaining("process: server")]);
});

test("a socket of which only a TIME_WAIT is left, which waits for the peer's FIN, has ended", () => {
  const [socket] = parseSockets([
    "socket FIN-WAIT-2 0 0 127.0.0.1:41 127.0.0.1:8000 timer:(timewait,59sec,0) ino:0 sk:5426",
  ]);

  expect(socket).toMatchObject({ state: "TIME-WAIT" });
});

test("a resend of a type that the kernel did not count is told", () => {
  const trace = parseTrace(LINES.map((line) => line.replace("books Tcp: 6 5 0 2", "books Tcp: 6 5 1 2")));
  const namespace = { ...seen().namespace, retransSegs: 1 } as NamespaceCounters;
  const resent = grown(changed(seen(), 46, "client", { retransmitsFast: 1 }), "client", "retransmitsFast");

  expect(differencesInWindow(PROGRAM, trace, { ...resent, namespace }, WINDOW)).toEqual([
    "retransmit-types: fast retransmits is 1, must be 0",
  ]);
});

/** 42's client ends while the probe comes: the second look has it no more. */
const ENDING = parseTrace(LINES.filter((line, i) => !(line.includes(":42 127.0.0.1:8000") && LINES.indexOf(line) < i)));

test("of what ends while the probe comes there may be a record, and if so of the whole connection", () => {
  const said = (right: Seen) =>
    differencesInWindow(PROGRAM, ENDING, right, { start: edgeAt(ENDING, BARRIER_LINE), end: undefined });

  expect(said(seen())).toEqual([]);
  expect(said(without(seen(), 42, "client"))).toEqual([]);
  expect(said(changed(seen(), 42, "client", { bytesSent: 1031 }))).not.toEqual([]);
  expect(said(grown(seen(), "client", "bytesSent", 1010))).not.toEqual([]);
});

test("a bound client shows its role, but where a rule may have refused what it sent", () => {
  const bind = LINES.flatMap((line) =>
    line.includes(" a sock 2 ") ? [line, line.replace(" sock ", " bind ")] : [line],
  );
  const refused = [...PROGRAM, ". rule 4 -A OUTPUT -p tcp --dport 8000 -j REJECT"];
  const hides = (program: Program, lines: readonly string[]) => {
    const trace = parseTrace(lines);
    const { ends, rules } = truthOf(program, trace);
    return toldIn({ start: edgeAt(trace, BARRIER_LINE), end: undefined }, ends, rules).find(
      ({ end }) => end.role === "client" && end.conversation?.client.port === 42,
    )?.hides;
  };

  expect([hides(PROGRAM, bind), hides(refused, LINES), hides(refused, bind)]).toEqual([false, false, true]);
});

/** Beginning and end of the window, and what begins and ends in it. */
function key(role: "client" | "server", cgroup = role === "client" ? 1 : 2): EdgeKey {
  const address = "127.0.0.1";
  return {
    ...{ cgroup: BigInt(cgroup), localAddress: address, remoteAddress: address, netns: 9, serverPort: 8000 },
    role,
  } as EdgeKey;
}

function record(role: "client" | "server", port: number, more: Partial<Connection>): Connection {
  const isClient = role === "client";
  const zero = { bytesSent: 0, bytesReceived: 0, segsOut: 0, segsIn: 0, spurious: 0, outOfOrder: 0, handshakeUs: 0 };
  const times = {
    busyUs: 0,
    rwndLimitedUs: 0,
    sndbufLimitedUs: 0,
    pid: 0,
    error: 0,
    interims: 0,
    events: [],
    comm: "",
  };
  const resends = { retransmits: 0, retransmitsSyn: 0, retransmitsFast: 0, retransmitsTimeout: 0, retransmitsTlp: 0 };
  return {
    ...{ ...zero, ...times, ...resends, retransmitsNonCongestion: 0, key: key(role), traceId: String(port) },
    ...{ startNs: BigInt((START?.[0].to ?? 0) + 1), establishedNs: BigInt((START?.[0].to ?? 0) + 1) },
    ...{ endNs: BigInt(clock), localPort: isClient ? port : 8000, remotePort: isClient ? 8000 : port },
    ...{ flags: ADOPTED, state: "fin_wait_1" },
    ...more,
  } as Connection;
}

/** What a right probe says. */
function seen(): Seen {
  const syn = TRACE.wire.find(({ from }) => from.port === 46)?.time ?? 0;
  const young = { flags: 0, startNs: BigInt(syn), establishedNs: BigInt(syn), endNs: BigInt(syn) };
  const records = [
    record("client", 42, { bytesSent: 1032, segsOut: 6, segsIn: 4, busyUs: 4000 }),
    record("server", 42, { bytesReceived: 1032, segsOut: 3, segsIn: 6 }),
    record("client", 43, { segsOut: 2, segsIn: 1, state: "established" }),
    record("client", 44, { segsOut: 2, segsIn: 1, state: "established" }),
    record("server", 44, { segsIn: 2 }),
    record("client", 46, { ...young, segsOut: 4, segsIn: 2, pid: 7 }),
    record("server", 46, { ...young, segsOut: 2, segsIn: 4, handshakeUs: 1, pid: 8 }),
  ].map((each, i) => (i === 3 ? { ...each, state: "close_wait" as const } : each));
  return {
    edges: [
      edge("client", { opened: 1, closed: 4, bytesSent: 23, segsOut: 7, segsIn: 4 }),
      edge("server", { opened: 1, closed: 3, bytesReceived: 23, segsOut: 4, segsIn: 7, handshakeUs: 1 }),
    ],
    records,
    namespace: { activeOpens: 6, passiveOpens: 5, retransSegs: 0, estabResets: 2 } as NamespaceCounters,
  };
}

function edge(role: "client" | "server", counters: Partial<EdgeSum["counters"]>): EdgeSum {
  const none = Object.fromEntries(EDGE_COUNTERS.map((name) => [name, 0])) as EdgeSum["counters"];
  return { key: key(role), counters: { ...none, ...counters }, slots: new Map(), open: 0, limit: 0 };
}

function isOf(port: number, role: string): (record: Connection) => boolean {
  return ({ key, localPort, remotePort }) => key.role === role && (role === "client" ? localPort : remotePort) === port;
}

function withRecord(right: Seen, more: Connection): Seen {
  return { ...right, records: [...right.records, more] };
}

function without(right: Seen, port: number, role: "client" | "server"): Seen {
  return { ...right, records: right.records.filter((each) => !isOf(port, role)(each)) };
}

function changed(right: Seen, port: number, role: "client" | "server", change: Partial<Connection>): Seen {
  const is = isOf(port, role);
  return { ...right, records: right.records.map((each) => (is(each) ? { ...each, ...change } : each)) };
}

function grown(right: Seen, role: "client" | "server", counter: keyof EdgeSum["counters"], more = 1): Seen {
  return {
    ...right,
    edges: right.edges.map((each) =>
      each.key.role === role
        ? { ...each, counters: { ...each.counters, [counter]: each.counters[counter] + more } }
        : each,
    ),
  };
}
