/** What differs between a trace and what is said of it: each check is seen to say so, and to say nothing of what is right. */
import { expect, test } from "vitest";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { differences, type Seen } from "../../torture/compare.ts";
import { takeRecord } from "../../torture/compare-ends.ts";
import { truthOf } from "../../torture/oracle.ts";
import { PLAIN_CONNECTION } from "../../torture/plain.ts";
import type { Program } from "../../torture/program.ts";
import { CHECKPOINTED, RESET_RECEIVED, RESET_SENT, RESTORED } from "../../torture/record-flags.ts";
import type { Trace } from "../../torture/trace.ts";
import { changed, PLAIN_BOOKS, PLAIN_CALLS, PLAIN_TRACE, PLAIN_WIRE, plainSeen, traceOf } from "./traces.ts";

function checksOf(seen: Seen): string[] {
  return [...new Set(differences(PLAIN_CONNECTION, PLAIN_TRACE, seen).map((each) => each.split(":")[0] ?? ""))];
}

test("what a sound probe says differs in nothing", () => {
  expect(checksOf(plainSeen())).toEqual([]);
});

test("a number that is wrong in the record and its edge alike is told by the wire", () => {
  expect(checksOf(changed("server", { segsIn: 7 }, { segsIn: 7 }))).toEqual(["segments"]);
  expect(checksOf(changed("client", { segsOut: 6 }, { segsOut: 6 }))).toEqual(["segments", "coverage"]);
  expect(checksOf(changed("client", { bytesSent: 1010 }, { bytesSent: 1010 }))).toEqual(["bytes"]);
});

test("a client without a process is told: it was in the call that opened it", () => {
  expect(checksOf(changed("client", { pid: 0 }))).toEqual(["process"]);
});

test("what TCP_REPAIR took to another socket is told by a record for each, and by nothing else", () => {
  const trace = traceOf(`${PLAIN_CALLS}call 9 a repair 1 7500 7510 0 0\n${PLAIN_WIRE}${PLAIN_BOOKS}`);
  const [client, ...others] = plainSeen().records;
  const first = { ...client, flags: CHECKPOINTED } as Connection;
  const second = { ...client, flags: RESTORED, startNs: 7_505_000n, bytesSent: 0, bytesReceived: 0 } as Connection;
  const said = (parts: readonly Connection[]) =>
    differences(PLAIN_CONNECTION, trace, { ...plainSeen(), records: [...parts, ...others] })
      .map((each) => each.split(":")[0] ?? "")
      .filter((check) => ["bytes", "record", "repair", "reset"].includes(check));

  expect(said([first, second])).toEqual([]);
  expect(said([first])).toEqual(["repair", "repair"]);
  expect(said([first, { ...second, flags: 0 } as Connection])).toEqual(["repair"]);
  expect(said([{ ...first, flags: CHECKPOINTED | RESET_SENT } as Connection, second])).toEqual(["reset"]);
  expect(said([{ ...first, bytesReceived: 22 } as Connection, second])).toEqual(["bytes"]);
});

test("what a restored socket sends, a rule may take: its record is its own also behind all that the wire has", () => {
  const wire = PLAIN_WIRE.split("\n").filter((line) => Number(line.trim().split(" ")[1] ?? 0) < 5_000);
  const trace = traceOf(`${PLAIN_CALLS}call 9 a repair 1 7500 7510 0 0\n${wire.join("\n")}${PLAIN_BOOKS}`);
  const [client, ...others] = plainSeen().records;
  const records = [
    { ...client, flags: CHECKPOINTED } as Connection,
    { ...client, flags: RESTORED, startNs: 7_505_000n, bytesSent: 0, bytesReceived: 0 } as Connection,
  ];

  const said = differences(PLAIN_CONNECTION, trace, { ...plainSeen(), records: [...records, ...others] });

  expect(said.filter((each) => /^(?:record|repair):/.test(each))).toEqual([]);
});

/** The SYN-ACK, and all that follows, comes so much later. */
function delayed(text: string, byUs: number): string {
  const late = (time: string) => String(Number(time) >= 2030 ? Number(time) + byUs : Number(time));
  return text
    .replace(/([<>]) (\d+)/g, (_, way, time) => `${way} ${late(time)}`)
    .replace(/(call \d+ \w \w+ \d+) (\d+) (\d+)/g, (_, call, from, to) => `${call} ${late(from)} ${late(to)}`);
}

test("a handshake that is shorter than on the wire is told, and one that is longer", () => {
  const trace = traceOf(delayed(PLAIN_CALLS + PLAIN_WIRE, 10_000) + PLAIN_BOOKS);
  const said = (handshakeUs: number) =>
    differences(PLAIN_CONNECTION, trace, changed("client", { handshakeUs }, { handshakeUs })).filter((each) =>
      each.startsWith("handshake"),
    );

  const name = "client of 127.0.0.1/40000 → 127.0.0.1/8000 (line 5 to 11)";
  expect(said(10_030)).toEqual([]);
  expect(said(7_999)).toEqual([`handshake: ${name}: its handshake took 7999 µs, on the wire 8010 to 12040`]);
  expect(said(12_041)).toEqual([`handshake: ${name}: its handshake took 12041 µs, on the wire 8010 to 12040`]);
});

test("a server's handshake that is not timed is told, and not where its SYN-ACK was sent again or answers were dropped", () => {
  const said = (wire: string, books: string) =>
    differences(
      PLAIN_CONNECTION,
      traceOf(PLAIN_CALLS + wire + books),
      changed("server", { handshakeUs: 0 }, { handshakeUs: 0 }),
    ).filter((each) => each.startsWith("handshake"));
  const again = PLAIN_WIRE.replace("< 2030 SA 500 101", "< 2030 SA 500 101\n < 2035 SA 500 101");
  const dropped = PLAIN_BOOKS.replace("ListenDrops=0", "ListenDrops=1");

  expect(said(PLAIN_WIRE, PLAIN_BOOKS)).toEqual([
    "handshake: server of 127.0.0.1/40000 → 127.0.0.1/8000 (line 6 to 13): how long its handshake took is not known",
  ]);
  expect(said(again, PLAIN_BOOKS)).toEqual([]);
  expect(said(PLAIN_WIRE, dropped)).toEqual([]);
});

test("a resend without a type is told, but where a rule may have refused it", () => {
  const trace = traceOf(PLAIN_CALLS + PLAIN_WIRE + PLAIN_BOOKS.replace("RetransSegs=0", "RetransSegs=1"));
  const seen = changed("client", {}, { retransmitsOther: 1 });
  const refused = [...PLAIN_CONNECTION, ". rule -A OUTPUT -p tcp --dport 8000 -j DROP"];
  const said = (program: Program) => differences(program, trace, seen).filter((each) => each.startsWith("retransmit"));

  expect(said(PLAIN_CONNECTION)).toEqual(["retransmit-types: segments sent again without a type is 1, must be 0"]);
  expect(said(refused)).toEqual([]);
});

test("timers that find the window closed for want of room have no count of their own", () => {
  const books = (more: string) =>
    PLAIN_BOOKS.replace("RetransSegs=0", "RetransSegs=4").replace("TCPFastRetrans=0", `TCPFastRetrans=0${more}`);
  const said = (more: string) =>
    differences(
      PLAIN_CONNECTION,
      traceOf(PLAIN_CALLS + PLAIN_WIRE + books(more)),
      changed("client", {}, { retransmitsTimeout: 4 }),
    ).filter((each) => each.startsWith("retransmit"));

  expect(said("")).toEqual(["retransmit-types: timeouts is 4, must be 0"]);
  expect(said(" TcpExt.RcvPruned=1")).toEqual([]);
});

test("a connection in another cgroup than its socket's is told, record and edge", () => {
  const said = differences(PLAIN_CONNECTION, PLAIN_TRACE, changed("server", {}, {}, { cgroup: 11n }));

  expect(said).toEqual([
    "cgroup: server of 127.0.0.1/40000 → 127.0.0.1/8000 (line 6 to 13): it is of cgroup 11, must be of 12 (b)",
    "cgroup: an edge of server 8000 is of cgroup 11, must be of 12 (b)",
  ]);
});

test("a segment of which no flow and no rule of the kernel knows is missing from coverage", () => {
  const { records, edges, namespace } = plainSeen();
  if (!namespace) throw new Error("no namespace");

  const said = differences(PLAIN_CONNECTION, PLAIN_TRACE, { records, edges, namespace: { ...namespace, outSegs: 12 } });

  expect(said).toContain("coverage: segments of no flow, of 12 sent: their count is 2, must be 1");
});

test("a handshake that the kernel counts in PassiveOpens twice is one connection where two segments came at once", () => {
  const books = PLAIN_BOOKS.replace("PassiveOpens=1", "PassiveOpens=2");
  const { records, edges, namespace } = plainSeen();
  if (!namespace) throw new Error("no namespace");
  const seen = { records, edges, namespace: { ...namespace, passiveOpens: 2 } };
  const atOnce = PLAIN_WIRE.replace("> 4005 A 101", "> 2060 A 101");

  expect(differences(PLAIN_CONNECTION, traceOf(PLAIN_CALLS + atOnce + books), seen)).toEqual([]);
  expect(differences(PLAIN_CONNECTION, traceOf(PLAIN_CALLS + PLAIN_WIRE + books), seen)).toEqual([
    "passive-opens: opened by servers is 1, must be 2",
  ]);
});

test("a RST that is not on the wire never came, and was never sent where no OUTPUT rule may have taken it", () => {
  const ruled = [...PLAIN_CONNECTION, ". rule -A OUTPUT -p tcp --dport 8000 -j DROP"];
  const said = (role: string, flags: number) =>
    differences(ruled, PLAIN_TRACE, changed(role, { flags })).filter((each) => each.startsWith("reset:"));

  expect(said("client", RESET_SENT)).toEqual([]);
  expect(said("client", RESET_RECEIVED)).toHaveLength(1);
  expect(said("server", RESET_SENT)).toHaveLength(1);
  expect(said("server", RESET_RECEIVED)).toHaveLength(1);
});

/** What differs in resets where the client aborts at 9000. */
function saidOfAbort(calls: string, wire: string, books = PLAIN_BOOKS): string[] {
  const open = PLAIN_WIRE.replace(/[<>] (8020|8030|10020|10030).*\n/g, "");
  return differences(PLAIN_CONNECTION, traceOf(`${calls}${open}${wire}\n${books}`), plainSeen()).filter((each) =>
    each.startsWith("reset:"),
  );
}

const OPEN_CALLS = PLAIN_CALLS.replace(/call 1[0-2].*/g, "");
const ABORTED = [
  "reset: client of 127.0.0.1/40000 → 127.0.0.1/8000 (line 5): a RST was sent is false, must be true",
  "reset: server of 127.0.0.1/40000 → 127.0.0.1/8000 (line 6): a RST came is false, must be true",
];

test("who was reset is not known where both ends were destroyed, and is where only one was", () => {
  expect(saidOfAbort(OPEN_CALLS, "  > 9000 RA 1110 524\n  destroyed 8900")).toEqual([]);
  expect(saidOfAbort(OPEN_CALLS, "  > 9000 RA 1110 524\n  destroyed 9500")).toEqual(ABORTED);
});

test("who was reset is told though timers ended others, and not of one that sent again before", () => {
  const timed = PLAIN_BOOKS.replace("TCPSynRetrans=0", "TCPSynRetrans=0 TcpExt.TCPAbortOnTimeout=1");

  expect(saidOfAbort(OPEN_CALLS, "  > 9000 RA 1110 524", timed)).toEqual(ABORTED);
  expect(saidOfAbort(OPEN_CALLS, "  < 8500 A 501 1110 23\n  > 9000 RA 1110 524", timed)).toEqual(ABORTED.slice(0, 1));
});

test("a connection that nobody accepted is reset by whom the first RST comes from", () => {
  const calls = OPEN_CALLS.replace(/call 5 .*/g, "");
  const unaccepted = "reset: server of 127.0.0.1/40000 → 127.0.0.1/8000: a RST";

  expect(saidOfAbort(calls, "  > 9000 RA 1110 524").slice(1)).toEqual([`${unaccepted} came is false, must be true`]);
  expect(saidOfAbort(calls, "  < 9000 RA 524 1110").slice(1)).toEqual([
    `${unaccepted} was sent is false, must be true`,
  ]);
});

test("a socket that has sent and got both FINs sends no RST, though its application still holds it", () => {
  const calls = PLAIN_CALLS.replace(/call 1[23] .*/g, "");
  const held = `${calls}\ncall 12 b shut 2 10000 10100 0 0\ncall 13 b close 2 50000 50010 0 0 state=7 unread=0\n`;
  const said = (wire: string) =>
    differences(PLAIN_CONNECTION, traceOf(`${held}${PLAIN_WIRE}${wire}\n${PLAIN_BOOKS}`), plainSeen()).filter((each) =>
      each.startsWith("reset:"),
    );

  expect(said("  < 10130 R 525 0")).toEqual([]);
  expect(said("  < 20000 R 525 0")).toEqual([]);
  expect(said("  < 9500 RA 524 1111")).not.toEqual([]);
});

test("an attempt that failed takes the record with its port, or one without a port, and none of a socket just before it", () => {
  const [end] = truthOf(PLAIN_CONNECTION, PLAIN_TRACE).ends;
  const [record] = plainSeen().records;
  if (!end || !record) throw new Error("no end");
  const failed = { ...end, established: false };
  const [own, lost, former] = [40_000, 0, 39_999].map((localPort) => ({ ...record, localPort }));
  const taken = (...left: (Connection | undefined)[]) => takeRecord(left as Connection[], failed);

  expect(taken(former, own)).toBe(own);
  expect(taken(former, lost)).toBe(lost);
  expect(taken(former)).toBeUndefined();
});

test("types of resends are held against the kernel's counters of each: timers, the queue in Loss, fast, probes", () => {
  const books = PLAIN_BOOKS.replace("RetransSegs=0", "RetransSegs=6").replace(
    "TCPFastRetrans=0",
    "TCPFastRetrans=2 TcpExt.TCPSlowStartRetrans=2 TcpExt.TCPTimeouts=1 TcpExt.TCPLossProbes=1",
  );
  const trace = traceOf(PLAIN_CALLS + PLAIN_WIRE + books);
  const said = (retransmitsFast: number, retransmitsTimeout: number, retransmitsTlp: number) =>
    differences(PLAIN_CONNECTION, trace, changed("client", {}, { retransmitsFast, retransmitsTimeout, retransmitsTlp }))
      .filter((each) => each.startsWith("retransmit"))
      .map((each) => each.replace("retransmit-types: ", ""));

  expect(said(2, 3, 1)).toEqual([]);
  expect(said(3, 2, 1)).toEqual(["fast retransmits is 3, must be 2"]);
  expect(said(2, 2, 2)).toEqual(["tail loss probes sent again is 2, must be 0 to 1"]);
  expect(said(2, 4, 0)).toEqual(["timeouts is 4, must be 2 to 3"]);
});

const REPAIRED: Program = [...PLAIN_CONNECTION, "a repair 1"];

test("a third record in a trace is told, and not where its connection was restored", () => {
  const calls = PLAIN_CALLS.replace("call 10 ", "call 13 a repair 1 7500 7600 0 0\ncall 10 ");
  const seen = plainSeen();
  const [client] = seen.records;
  if (!client) throw new Error("no record");
  const tracesIn = (program: Program, text: string, localPort: number) =>
    differences(program, traceOf(text + PLAIN_WIRE + PLAIN_BOOKS), {
      ...seen,
      records: [...seen.records, { ...client, localPort }],
    }).filter((each) => each.startsWith("trace"));

  expect(tracesIn(PLAIN_CONNECTION, PLAIN_CALLS, 40_000)).toHaveLength(1);
  expect(tracesIn(REPAIRED, calls, 40_000)).toEqual([]);
  expect(tracesIn(REPAIRED, calls, 40_001)).toHaveLength(1);
});

/** Puppet c listens on the port, too, since before the connection, or since after it. */
function sharedAt(us: number, calls = PLAIN_CALLS): Trace {
  const listen = `call 14 c sock 9 900 910 3 0\ncall 15 c listen 9 ${us} ${us + 10} 0 0 local=127.0.0.1/8000\n`;
  return traceOf(listen + calls + PLAIN_WIRE + PLAIN_BOOKS);
}

test("a server's process is the one that listened on the socket that accepted it", () => {
  const unaccepted = PLAIN_CALLS.split("\n")
    .filter((line) => !line.includes(" accept ") && !line.includes(" b close 2 "))
    .join("\n");
  const said = (trace: Trace, pid: number) =>
    differences(PLAIN_CONNECTION, trace, changed("server", { pid })).filter((each) => each.startsWith("process"));

  expect(said(sharedAt(1250), 102)).toEqual([]);
  expect(said(sharedAt(1250), 103)).toEqual([
    "process: server of 127.0.0.1/40000 → 127.0.0.1/8000 (line 6 to 13): its process is 103, none that listened on 8000: b",
  ]);
  // Nobody accepted it: either may have been it, but not who listens only later.
  expect(said(sharedAt(1250, unaccepted), 103)).toEqual([]);
  expect(said(sharedAt(1_000_000, unaccepted), 103)).toHaveLength(1);
});

test("a bare ACK of a server may be a request's that drops bare answers; what acknowledges more than the SYN is a connection's", () => {
  const calls = PLAIN_CALLS.split("\n")
    .filter((line) => !/ accept | b (?:recv|send|close) 2 /.test(line))
    .join("\n");
  const dropped = PLAIN_BOOKS.replace("TcpExt.ListenDrops=0", "TcpExt.ListenDrops=0 TcpExt.TCPDeferAcceptDrop=1");
  const established = (acknowledged: number, books: string) => {
    const wire = `\n> 2020 S 100 0\n< 2030 SA 500 101\n> 2040 A 101 501\n> 8020 FA 101 501\n< 8030 A 501 ${acknowledged}\n`;
    const { ends } = truthOf(PLAIN_CONNECTION, traceOf(calls + wire + books));
    return ends.find(({ role }) => role === "server")?.established;
  };

  expect([established(101, dropped), established(102, dropped)]).toEqual([undefined, true]);
  expect(established(101, PLAIN_BOOKS)).toBe(true);
});
