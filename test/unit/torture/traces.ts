/** Traces written by hand, as an interpreter says them but with times in microseconds, and what a sound probe says of them. */
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import type { Counters, EdgeSum } from "../../lab/agents/tally.ts";
import type { Seen } from "../../torture/compare.ts";
import { parseTrace, type Trace } from "../../torture/trace.ts";
import { namespaceBooks } from "../source/namespace-books.ts";

const NETNS = 23;
const HEAD = ["netns 23", "realtime 0", "missed 0"];
const PUPPETS = ["a", "b", "c"].flatMap((name, i) => [`cgroup ${name} ${11 + i}`, `puppet ${name} ${101 + i}`]);

/**
 * `call LINE WHO NAME SLOT FROM TO RESULT ERRNO name=value…`, `> TIME FLAGS SEQ ACK [PAYLOAD [SEGMENTS]]` from the client,
 * `<` from the server, both of 127.0.0.1 port 40000 to 8000, `destroyed TIME` and `books NAME=VALUE…`.
 */
export function traceOf(text: string): Trace {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .flatMap((line) => linesOf(line.split(" ")));
  return parseTrace([...HEAD, ...PUPPETS, ...lines]);
}

function linesOf(words: readonly string[]): string[] {
  const [kind, ...rest] = words;
  const ns = (text = "0") => `${Number(text) * 1000}`;
  if (kind === "call") {
    const [line, who, name, slot, from, to, ...more] = rest;
    return [["call", line, who, name, slot, ns(from), ns(to), ...more].join(" ")];
  }
  if (kind === "destroyed") return [`destroyed ${ns(rest[0])} 2`];
  if (kind === "books")
    return [...Map.groupBy(rest, (pair) => pair.split(".")[0])].flatMap(([group, pairs]) => [
      `books ${group}: ${pairs.map((pair) => pair.split(/[.=]/)[1]).join(" ")}`,
      `books ${group}: ${pairs.map((pair) => pair.split("=")[1]).join(" ")}`,
    ]);
  const [time, flags, sequence, acknowledged, payload = "0", segments = "1"] = rest;
  const [from, to] = kind === ">" ? ["127.0.0.1 40000", "127.0.0.1 8000"] : ["127.0.0.1 8000", "127.0.0.1 40000"];
  return [["wire", ns(time), from, to, `${flags}.`, sequence, acknowledged, payload, 64, segments].join(" ")];
}

export const PLAIN_CALLS = `
  call 0 b sock 0 1000 1010 3 0
  call 1 b bind 0 1100 1110 0 0
  call 2 b listen 0 1200 1210 0 0 local=127.0.0.1/8000
  call 3 a sock 1 1300 1310 3 0
  call 4 a connect 1 2000 2100 0 0 local=127.0.0.1/40000 remote=127.0.0.1/8000
  call 5 b accept 0 3000 3010 4 0 local=127.0.0.1/8000 remote=127.0.0.1/40000 to=2
  call 6 a send 1 4000 4010 1009 0
  call 7 b recv 2 5000 5010 1009 0
  call 8 b send 2 6000 6010 23 0
  call 9 a recv 1 7000 7010 23 0
  call 10 a close 1 8000 8100 0 0 state=1 unread=0
  call 11 b recv 2 9000 9010 0 0
  call 12 b close 2 10000 10100 0 0 state=8 unread=0
  call 13 b close 0 11000 11010 0 0
`;

export const PLAIN_WIRE = `
  > 2020 S 100 0
  < 2030 SA 500 101
  > 2040 A 101 501
  > 4005 A 101 501 1009
  < 4015 A 501 1110
  < 6005 A 501 1110 23
  > 6015 A 1110 524
  > 8020 FA 1110 524
  < 8030 A 524 1111
  < 10020 FA 524 1111
  > 10030 A 1111 525
`;

export const PLAIN_BOOKS = `
  books Tcp.ActiveOpens=1 Tcp.PassiveOpens=1 Tcp.AttemptFails=0 Tcp.EstabResets=0 Tcp.InSegs=11 Tcp.OutSegs=11 Tcp.RetransSegs=0 Tcp.OutRsts=0
  books TcpExt.SyncookiesSent=0 TcpExt.SyncookiesRecv=0 TcpExt.SyncookiesFailed=0 TcpExt.PruneCalled=0 TcpExt.RcvPruned=0
  books TcpExt.TCPRcvQDrop=0 TcpExt.TCPAbortOnMemory=0 TcpExt.TCPMemoryPressures=0
  books TcpExt.ListenOverflows=0 TcpExt.ListenDrops=0 TcpExt.TCPSynRetrans=0 TcpExt.TCPFastRetrans=0
`;

/** What a sound probe says of PLAIN: each end's segments as its socket counts them. */
export function plainSeen(): Seen {
  const client = recordOf("client", {
    segsOut: 5,
    segsIn: 4,
    bytesSent: 1009,
    bytesReceived: 23,
    startNs: 2_010_000n,
    handshakeUs: 40,
  });
  const server = recordOf("server", {
    ...{ segsOut: 4, segsIn: 6, bytesSent: 23, bytesReceived: 1009 },
    startNs: 2_025_000n,
    handshakeUs: 10,
  });
  return { edges: [edgeOf(client), edgeOf(server)], records: [client, server], namespace: namespaceOf() };
}

function keyOf(role: EdgeKey["role"]): EdgeKey {
  return {
    ...{ role, cgroup: role === "client" ? 11n : 12n, netns: NETNS, serverPort: 8000, protocol: 6, overflow: false },
    ...{ localAddress: "127.0.0.1", remoteAddress: "127.0.0.1" },
  } as EdgeKey;
}

function recordOf(role: "client" | "server", values: Partial<Connection>): Connection {
  const [localPort, remotePort] = role === "client" ? [40_000, 8000] : [8000, 40_000];
  const zero = [
    ...["retransmits", "retransmitsSyn", "retransmitsFast", "retransmitsTimeout", "retransmitsTlp", "error", "flags"],
    ...["retransmitsNonCongestion", "spurious", "outOfOrder", "busyUs", "rwndLimitedUs", "sndbufLimitedUs", "interims"],
    ...["handshakeUs", "srttUs", "minRttUs", "lastRttUs", "kept"],
  ];
  return {
    ...Object.fromEntries(zero.map((name) => [name, 0])),
    ...{ key: keyOf(role), traceId: "1".repeat(32), establishedNs: 2_050_000n, endNs: 10_040_000n },
    ...{ pid: role === "client" ? 101 : 102, localPort, remotePort, state: "fin_wait_2", comm: "", events: [] },
    ...values,
  } as Connection;
}

function edgeOf({ key, establishedNs, endNs, ...record }: Connection): EdgeSum {
  const { segsOut, segsIn, bytesSent, bytesReceived, handshakeUs } = record;
  const zero = Object.fromEntries(EDGE_COUNTERS.map((name) => [name, 0])) as Counters;
  const durationUs = Number((endNs - establishedNs) / 1000n);
  const counters = {
    ...zero,
    opened: 1,
    closed: 1,
    segsOut,
    segsIn,
    bytesSent,
    bytesReceived,
    handshakeUs,
    durationUs,
  };
  return { key, counters, slots: new Map(), open: 0, limit: 0 };
}

function namespaceOf(): NamespaceCounters {
  return namespaceBooks({ netns: NETNS, activeOpens: 1, passiveOpens: 1, inSegs: 11, outSegs: 11 });
}

export const PLAIN_TRACE = traceOf(PLAIN_CALLS + PLAIN_WIRE + PLAIN_BOOKS);

/** What a sound probe says, with other values in the records and the edges of one role. */
export function changed(role: string, record: object, counters: object = {}, key: object = {}): Seen {
  const { records, edges, namespace } = plainSeen();
  return {
    namespace,
    records: records.map((each) =>
      each.key.role === role ? { ...each, ...record, key: { ...each.key, ...key } } : each,
    ),
    edges: edges.map((each) =>
      each.key.role === role
        ? { ...each, key: { ...each.key, ...key }, counters: { ...each.counters, ...counters } }
        : each,
    ),
  };
}
