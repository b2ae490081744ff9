/**
 * Every way in which a close sends a RST, and those beside it that send none: what the namespace counts in
 * TcpOutRsts, both ends' spans say, whatever the state that the connection is closed from.
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { type CallLab, NEEDS, pair, SHUT, STATE, useCallLab } from "../agents/call-lab.ts";
import { eventually } from "../programs/process.ts";

const test = needs(...NEEDS);
const filtered = needs(...NEEDS, "iptables");
const calls = useCallLab();

/** The client is socket 1, the server 2. All but the last line leads to the state that is closed from. */
interface Way {
  readonly name: string;
  readonly lines: readonly string[];
  readonly resets: 0 | 1;
  /** The client's outcome and the server's. */
  readonly spans: readonly [string, string];
}

const BY_CLIENT = ["client reset by local", "server reset by remote"] as const;
const BY_SERVER = ["client reset by remote", "server reset by local"] as const;
const IN_ORDER = ["client unset", "server unset"] as const;

const HALF_CLOSED = [`shutdown 1 ${SHUT.write}`, `state 1 ${STATE.finWait2}`, "recv 2 0"];
const PEER_CLOSED = [`shutdown 2 ${SHUT.write}`, `state 1 ${STATE.closeWait}`];
const ANSWERED = ["send 2 211", "unread 1 211"];

const WAYS: readonly Way[] = [
  { name: "established, data unread", lines: [...ANSWERED, "close 1"], resets: 1, spans: BY_CLIENT },
  { name: "established, not lingering", lines: ["linger 1 0", "close 1"], resets: 1, spans: BY_CLIENT },
  { name: "established, dissolved", lines: ["unspec 1"], resets: 1, spans: BY_CLIENT },
  {
    name: "half closed, data unread",
    lines: [...HALF_CLOSED, ...ANSWERED, "close 1"],
    resets: 1,
    spans: BY_CLIENT,
  },
  { name: "half closed, not lingering", lines: [...HALF_CLOSED, "linger 1 0", "close 1"], resets: 1, spans: BY_CLIENT },
  { name: "half closed, dissolved", lines: [...HALF_CLOSED, "unspec 1"], resets: 1, spans: BY_CLIENT },
  {
    name: "half closed, TCP_LINGER2 below 0",
    lines: [...HALF_CLOSED, "linger2 1 -1", "close 1"],
    resets: 1,
    spans: BY_CLIENT,
  },
  {
    name: "TCP_LINGER2 below 0, closed before its FIN is acknowledged",
    lines: ["linger2 1 -1", "close 1", "recv 2 0"],
    resets: 1,
    spans: BY_CLIENT,
  },
  {
    name: "the peer closed, data unread",
    lines: [...ANSWERED, ...PEER_CLOSED, "close 1"],
    resets: 1,
    spans: BY_CLIENT,
  },
  {
    name: "the peer closed, not lingering",
    lines: [...PEER_CLOSED, "linger 1 0", "close 1"],
    resets: 1,
    spans: BY_CLIENT,
  },
  { name: "the peer closed, dissolved", lines: [...PEER_CLOSED, "unspec 1"], resets: 1, spans: BY_CLIENT },
  { name: "in order", lines: ["close 1", "recv 2 0", "close 2"], resets: 0, spans: IN_ORDER },
  {
    name: "half closed, answer read, not lingering, after the peer's FIN",
    lines: [...HALF_CLOSED, ...ANSWERED, "linger 1 0", "recv 1 211", "close 2", "recv 1 0", "close 1"],
    resets: 0,
    spans: IN_ORDER,
  },
  {
    name: "half closed, the peer's data and FIN unread when the kernel ends it",
    lines: [...HALF_CLOSED, ...ANSWERED, "close 2", "unread 1 211", "state 1 7"],
    resets: 0,
    spans: IN_ORDER,
  },
  {
    name: "the peer closed, its FIN unread",
    lines: [...PEER_CLOSED, "close 1", "state 2 7"],
    resets: 0,
    spans: IN_ORDER,
  },
  {
    name: "the peer closed, half closed, data unread",
    lines: ["rcvbuf 1 2048", ...ANSWERED, ...PEER_CLOSED, `shutdown 1 ${SHUT.write}`, "state 2 7"],
    resets: 0,
    spans: IN_ORDER,
  },
  {
    name: "shut down both ways, the peer's data comes",
    lines: [`shutdown 1 ${SHUT.both}`, `state 1 ${STATE.finWait2}`, "send 2 211", "state 1 7"],
    resets: 1,
    spans: BY_CLIENT,
  },
  {
    name: "shut down both ways before the FIN is acknowledged, the peer's data comes",
    lines: [`shutdown 1 ${SHUT.both}`, "send 2 211", "state 1 7"],
    resets: 1,
    spans: BY_CLIENT,
  },
  {
    name: "shut down both ways, the peer aborts",
    lines: [`shutdown 1 ${SHUT.both}`, `state 1 ${STATE.finWait2}`, "linger 2 0", "close 2", "state 1 7"],
    resets: 1,
    spans: BY_SERVER,
  },
  {
    name: "half closed, the peer aborts",
    lines: [...HALF_CLOSED, "linger 2 0", "close 2", "state 1 7"],
    resets: 1,
    spans: BY_SERVER,
  },
];

for (const [i, { name, lines, resets, spans }] of WAYS.entries()) {
  test(`${name}: ${resets === 0 ? "no reset" : "a reset"}, as both ends say`, async () => {
    const port = 7300 + i;

    const told = await calls().play(pair(port), lines);
    const outcomes = await calls().outcomes(port, 2);

    expect(told.failures).toEqual({});
    expect(told.tcp.OutRsts).toBe(resets);
    expect(outcomes).toEqual(spans);
    const [sent, came] = [
      [resets, 0, 1],
      [0, resets, 1],
    ];
    const isByServer = spans === BY_SERVER;
    expect(counted(calls(), port)).toEqual(
      isByServer ? { client: came, server: sent } : { client: sent, server: came },
    );
    expect(calls().tally.losses).toEqual({});
  });
}

filtered("closed, data comes with the acknowledgement of its FIN: a reset, as both ends say", async () => {
  const port = 7391;
  // The server does not learn of a larger window before the FIN: what it has left to send goes with its answer.
  const isAcknowledgement = "--tcp-flags FIN,SYN,RST NONE -m length --length 40:52";
  const remove = await calls().rule(`-t filter INPUT -i lo -p tcp --dport ${port} ${isAcknowledgement} -j DROP`);

  const told = await calls().play(
    ["sndbuf 0 212992", `listen 0 ${port}`, `connect 1 ${port}`, "send 1 211", "accept 2 0"],
    [`shutdown 1 ${SHUT.read}`, "send 2 150003", "recv 1 0", "close 1", "state 2 7"],
  );
  const outcomes = await calls().outcomes(port, 2);
  await remove();

  expect(told.failures).toEqual({});
  expect([told.tcp.OutRsts, told.tcpExt.TCPAbortOnData]).toEqual([1, 1]);
  expect(outcomes).toEqual(BY_CLIENT);
  expect(counted(calls(), port)).toEqual({ client: [1, 0, 1], server: [0, 1, 1] });
  expect(calls().tally.losses).toEqual({});
});

test("an operator who ends a socket (ss -K): a reset, as both ends say", async () => {
  const port = 7390;
  const playing = calls().play(pair(port), "state 1 7", "state 2 7");
  await eventually("an ended socket", async () => {
    const { stdout } = await calls().pod.exec(["ss", "-HK", "dport", "=", String(port)]);
    return stdout.includes(`:${port}`);
  });
  const told = await playing;
  const outcomes = await calls().outcomes(port, 2);

  expect(told.tcp.OutRsts).toBe(1);
  expect(outcomes).toEqual(BY_CLIENT);
  expect(counted(calls(), port)).toEqual({ client: [1, 0, 1], server: [0, 1, 1] });
});

function counted(lab: CallLab, port: number) {
  const of = (role: "client" | "server") => {
    const { resetSent, resetReceived, closed } = lab.counters(port, role);
    return [resetSent, resetReceived, closed];
  };
  return { client: of("client"), server: of("server") };
}
