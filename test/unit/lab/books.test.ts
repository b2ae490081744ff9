import { expect, test } from "vitest";
import { clientArguments, serveArguments } from "../../lab/programs/workload.ts";
import { booksGrowth, parseSnmp, parseSs } from "../../lab/world/kernel-books.ts";

const SNMP = "Tcp: MaxConn RetransSegs\nTcp: -1 23\nTcpExt: TCPLostRetransmit\nTcpExt: 5\n";

test("pairs of lines become groups of counters", () => {
  expect(parseSnmp(SNMP)).toEqual({ Tcp: { MaxConn: -1, RetransSegs: 23 }, TcpExt: { TCPLostRetransmit: 5 } });
});

test("growth is told counter by counter", () => {
  const before = parseSnmp(SNMP);
  const after = parseSnmp(SNMP.replace("23", "30"));

  expect(booksGrowth(before, after, "Tcp")).toEqual({ MaxConn: 0, RetransSegs: 7 });
});

test("a socket's line gives its state, round-trip time and counters", () => {
  const line =
    "ESTAB 0 0 10.244.1.10:40000 10.244.2.10:8080 cubic wscale:7,7 rto:204 rtt:50.423/25.1 bytes_acked:1001 " +
    "bytes_received:500 segs_out:4 segs_in:3 busy:324ms rwnd_limited:304ms(93.8%) sndbuf_limited:8ms(2.5%) " +
    "retrans:0/2 dsack_dups:1 rcv_ooopack:7 minrtt:50.4\n";

  expect(parseSs(line)).toEqual([
    {
      state: "ESTAB",
      local: "10.244.1.10:40000",
      remote: "10.244.2.10:8080",
      receiveQueue: 0,
      sendQueue: 0,
      rttMs: 50.423,
      retransmits: 2,
      bytesAcked: 1001,
      bytesReceived: 500,
      segsOut: 4,
      segsIn: 3,
      outOfOrder: 7,
      spurious: 1,
      busyMs: 324,
      receiveWindowLimitedMs: 304,
      sendBufferLimitedMs: 8,
    },
  ]);
});

test("a listener's line gives its accept queue", () => {
  expect(parseSs("LISTEN 3 2 *:81 *:* cubic\n")[0]).toMatchObject({ state: "LISTEN", receiveQueue: 3, sendQueue: 2 });
});

test("options become the workload's arguments", () => {
  expect([
    serveArguments({ listen: [{ port: 80 }, { mode: "stuck", address: "0.0.0.0", port: 81, backlog: 5 }] }),
    clientArguments("send", { to: [{ address: "fd00::1", port: 80 }], count: 23, uploadStep: 1, synRetries: 2 }),
  ]).toEqual([
    ["serve", "--listen", "request,::,80,4096,0", "--listen", "stuck,0.0.0.0,81,5,0"],
    ["send", "--to", "fd00::1,80", "--count", "23", "--upload-step", "1", "--syn-retries", "2"],
  ]);
});
