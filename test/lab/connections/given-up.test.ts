/**
 * Connections that the kernel gives up by its own clocks or keys: a peer that answers no more (TCP_USER_TIMEOUT,
 * keepalive, the retries of a closed socket), one that never opens its window, one whose signatures are wrong (TCP_MD5SIG).
 * What the sockets and the namespace tell, edges and both ends' spans say.
 *
 *   both ends on one loopback; rules take what the server sends, but for its SYN-ACK
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { NEEDS, pair, STATE, type Told, useCallLab } from "../agents/call-lab.ts";
import { enterArguments } from "../programs/process.ts";
import { run } from "../programs/run.ts";

/** The client gives up so long after a segment that nobody acknowledges. */
const PATIENCE_MS = 500;
const KEY = 49;
const OTHER_KEY = 50;

const test = needs(...NEEDS, "iptables");
const calls = useCallLab(async (lab) => {
  await run(enterArguments(lab.pod("both").place, ["sysctl", "-qw", "net.ipv4.tcp_orphan_retries=1"]));
});

interface Way {
  readonly name: string;
  readonly lines: (port: number) => readonly string[];
  /** The server's answers are lost, but for the handshake's. */
  readonly isMute?: boolean;
  /** What the sockets' own calls tell. */
  readonly failures: Told["failures"];
  readonly tcp: Told["tcp"];
  readonly tcpExt: Told["tcpExt"];
  /** Data, and what is sent of it again, has a wrong signature. */
  readonly isRefused?: true;
  /** Given up by a retransmission timer, the last of which resends nothing. */
  readonly timer?: true;
  readonly spans: readonly [client: string, server: string];
  /** Sent and received resets of both ends. */
  readonly resets: { readonly client: readonly [number, number]; readonly server: readonly [number, number] };
}

const NONE = { client: [0, 0], server: [0, 0] } as const;
const BY_SERVER = { client: [0, 0], server: [1, 0] } as const;

const WAYS: readonly Way[] = [
  {
    name: "data that nobody acknowledges (TCP_USER_TIMEOUT)",
    lines: (port) => [
      ...pair(port),
      `user-timeout 1 ${PATIENCE_MS}`,
      "send 1 211",
      "recv 1 1",
      "linger 2 0",
      "close 2",
    ],
    isMute: true,
    failures: { "recv ETIMEDOUT": 1 },
    tcp: { OutRsts: 1 },
    tcpExt: { TCPAbortOnTimeout: 1, TCPAbortOnData: 0 },
    timer: true,
    spans: ["client timed_out", "server reset by local"],
    resets: BY_SERVER,
  },
  {
    name: "data of a closed socket that nobody acknowledges (tcp_orphan_retries)",
    lines: (port) => [...pair(port), "send 1 211", "close 1", `none 0 ${STATE.finWait1}`, "linger 2 0", "close 2"],
    isMute: true,
    failures: {},
    tcp: { OutRsts: 1 },
    tcpExt: { TCPAbortOnTimeout: 1 },
    timer: true,
    spans: ["client timed_out", "server reset by local"],
    resets: BY_SERVER,
  },
  {
    name: "a window that never opens, though the peer answers (TCP_USER_TIMEOUT)",
    lines: (port) => [
      ...["rcvbuf 0 2304", ...pair(port), "sndbuf 1 212992", `user-timeout 1 ${PATIENCE_MS}`],
      ...["send 1 150003", "recv 1 1", "linger 2 0", "close 2"],
    ],
    failures: { "recv ETIMEDOUT": 1 },
    tcp: { OutRsts: 1 },
    tcpExt: { TCPAbortOnTimeout: 1 },
    spans: ["client timed_out", "server reset by local"],
    resets: BY_SERVER,
  },
  {
    name: "a peer that answers no keepalive",
    lines: (port) => [
      ...[...pair(port), "keepalive-after 1 1", "keepalive-every 1 1", "keepalive-probes 1 2", "keepalive 1 1"],
      ...["recv 1 1", "recv 2 1", "close 2"],
    ],
    isMute: true,
    failures: { "recv ETIMEDOUT": 1, "recv ECONNRESET": 1 },
    tcp: { OutRsts: 1, RetransSegs: 0 },
    tcpExt: { TCPAbortOnTimeout: 1, TCPKeepAlive: 2 },
    spans: ["client timed_out by local", "server reset by remote"],
    resets: { client: [1, 0], server: [0, 1] },
  },
  {
    name: "a signature with another key from one moment on (TCP_MD5SIG)",
    lines: (port) => [
      ...[`md5 0 ${KEY}`, `md5 1 ${KEY}`, ...pair(port), "send 1 211", "recv 2 211", "drained 1", `md5 1 ${OTHER_KEY}`],
      ...[`user-timeout 1 ${PATIENCE_MS}`, "send 1 211", "recv 1 1", "linger 2 0", "close 2"],
    ],
    failures: { "recv ETIMEDOUT": 1 },
    tcp: { OutRsts: 1 },
    tcpExt: { TCPAbortOnTimeout: 1 },
    timer: true,
    isRefused: true,
    spans: ["client timed_out", "server reset by local"],
    resets: BY_SERVER,
  },
  {
    name: "the same signatures at both ends are no trouble (TCP_MD5SIG)",
    lines: (port) => [
      ...[`md5 0 ${KEY}`, `md5 1 ${KEY}`, ...pair(port), "send 1 211", "recv 2 211", "close 1", "recv 2 0", "close 2"],
    ],
    failures: {},
    tcp: { OutRsts: 0, RetransSegs: 0 },
    tcpExt: { TCPAbortOnTimeout: 0 },
    spans: ["client unset", "server unset"],
    resets: NONE,
  },
];

for (const [i, way] of WAYS.entries())
  test(`${way.name}: as sockets and namespace tell`, async () => {
    await untilNothingHidden((attempt) => playWay(way, 7500 + attempt * WAYS.length + i));
  }, 60_000);

async function playWay(way: Way, port: number): Promise<void> {
  const lossesBefore = calls().tally.losses;
  const speak = way.isMute
    ? await calls().rule(`-t filter INPUT -i lo -p tcp --sport ${port} --tcp-flags SYN NONE -j DROP`)
    : undefined;

  const told = await calls().play(way.lines(port)).finally(speak);
  const outcomes = await calls().outcomes(port, 2);

  expect(told.failures).toEqual(way.failures);
  expect(told.tcp).toMatchObject(way.tcp);
  expect(told.tcpExt).toMatchObject(way.tcpExt);
  expect(outcomes).toEqual(way.spans);
  expect({ client: resets(port, "client"), server: resets(port, "server") }).toEqual(way.resets);
  expectResent(told, port, way);
  expect(told.tcpExt.TCPMD5Failure).toBe(way.isRefused ? 1 + (told.tcp.RetransSegs ?? 0) : 0);
  expect(calls().tally.losses).toEqual(lossesBefore);
}

test("a signature that the listener does not ask for (TCP_MD5SIG): the attempt times out, as its socket tells", async () => {
  const port = 7490;
  await calls().sysctl("net.ipv4.tcp_syn_retries=1", "net.ipv4.tcp_syn_linear_timeouts=0");

  const told = await calls().play(`listen 0 ${port}`, `md5 1 ${KEY}`, `connect 1 ${port}`);
  const outcomes = await calls().outcomes(port, 1);

  expect(told.failures).toEqual({ "connect ETIMEDOUT": 1 });
  expect([told.tcp.AttemptFails, told.tcp.RetransSegs, told.tcpExt.TCPMD5Unexpected]).toEqual([1, 1, 2]);
  expect(outcomes).toEqual(["client timed_out"]);
  expect(calls().counters(port, "client")).toMatchObject({ failedTimedOut: 1, opened: 0, retransmitsSyn: 1 });
  expect(calls().tally.losses).toEqual({});
}, 30_000);

/** Probes of a burst's end, timers that ran out, and nothing else. */
function expectResent({ tcp, tcpExt }: Told, port: number, way: Way): void {
  const { TCPTimeouts = 0, TCPSlowStartRetrans = 0, TCPFastRetrans: fast = 0, TCPLossProbes: probe = 0 } = tcpExt;
  const timeout = TCPTimeouts + TCPSlowStartRetrans - (way.timer ? 1 : 0);
  expect(tcp.RetransSegs).toBe(timeout + fast + probe);
  expect(calls().resent(port)).toEqual({ syn: 0, fast, timeout, probe, nonCongestion: 0, other: 0 });
}

function resets(port: number, role: "client" | "server") {
  const { resetSent, resetReceived } = calls().counters(port, role);
  return [resetSent, resetReceived];
}
