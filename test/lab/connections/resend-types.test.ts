/**
 * Types of resent segments where the kernel's recovery state alone would say another: each is what the namespace
 * counts as such, both ends of all connections together.
 *
 *   both ends on one loopback, rules that mark and lose what arrives
 */
import { expect } from "vitest";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { NEEDS, pair, times, useCallLab } from "../agents/call-lab.ts";
import { enterArguments } from "../programs/process.ts";
import { run } from "../programs/run.ts";

const COUNT = 23;
const FAST_BYTES = 211;
/** Until each type has come; far more than that takes. */
const ROUNDS_MAX = 31;

const test = needs(...NEEDS, "iptables");
const calls = useCallLab(async (lab) => {
  if (missing("iptables") !== undefined) return;
  const inPod = (...argv: string[]) => run(enterArguments(lab.pod("both").place, argv));
  await inPod("sysctl", "-q", "-w", "net.ipv4.tcp_fastopen=3");
  await inPod("ip", "link", "set", "lo", "mtu", "1500");
});

test("data on a SYN that is not taken is resent without a loss, and no timer ran out", async () => {
  const taken = 7401;
  const refused = 7402;
  const ask = (port: number, i: number) => [
    `fast ${2 * i + 2} ${port}`,
    `accept ${2 * i + 3} ${port === taken ? 0 : 1}`,
    `recv ${2 * i + 3} ${FAST_BYTES}`,
    `close ${2 * i + 3}`,
    `recv ${2 * i + 2} 0`,
    `close ${2 * i + 2}`,
  ];

  const told = await calls().play(
    `listen 0 ${taken}`,
    "fastopen 0 16",
    `listen 1 ${refused}`,
    // The first brings the cookie.
    times(COUNT + 1, (i) => ask(taken, i)),
    times(COUNT, (i) => ask(refused, i)),
  );
  const records = (await calls().records(refused, 2 * COUNT)).filter(({ key }) => key.role === "client");

  expect(told.failures).toEqual({});
  expect(told.tcp.RetransSegs).toBe(COUNT);
  expect(told.tcpExt).toMatchObject({ TCPFastOpenActiveFail: COUNT, TCPFastOpenPassive: COUNT, TCPTimeouts: 0 });
  expect(calls().resent(refused)).toEqual({ syn: 0, fast: 0, timeout: 0, probe: 0, nonCongestion: COUNT, other: 0 });
  expect(calls().resent(taken)).toEqual({ syn: 0, fast: 0, timeout: 0, probe: 0, nonCongestion: 0, other: 0 });
  expect(calls().counters(refused, "client").bytesSent).toBe(COUNT * FAST_BYTES);
  expect(records.map(({ retransmits, retransmitsNonCongestion }) => [retransmits, retransmitsNonCongestion])).toEqual(
    Array(COUNT).fill([1, 1]),
  );
});

test("each type is what the kernel counted, also of probes while a congestion mark has the window reduced", async () => {
  await untilNothingHidden((attempt) => marked(7403 + attempt));
}, 120_000);

async function marked(port: number): Promise<void> {
  await calls().sysctl("net.ipv4.tcp_ecn=1");
  const mark = await calls().rule("-t mangle OUTPUT -o lo -p tcp -m length --length 500:65535 -j TOS --set-tos 3/3");
  const lose = await calls().rule(
    "-t filter INPUT -i lo -p tcp --tcp-flags SYN NONE -m statistic --mode random --probability 0.05 -j DROP",
  );
  const sum: Record<string, number> = {};
  let records: Connection[] = [];
  try {
    for (let round = 0; round < ROUNDS_MAX && !records.some(isProbedInCwr); round++) {
      const told = await calls().play(
        pair(port),
        times(11, () => ["send 1 40009", "recv 2 40009"]),
        ["shutdown 1 1", "recv 2 0", "shutdown 2 1", "state 2 7", "state 1 7"],
      );
      expect(told.failures).toEqual({});
      for (const [name, growth] of Object.entries({ ...told.tcp, ...told.tcpExt }))
        sum[name] = (sum[name] ?? 0) + growth;
      records = await calls().records(port, 2 * (round + 1));
    }
  } finally {
    await lose();
    await mark();
  }

  const {
    RetransSegs = 0,
    TCPFastRetrans: fast = 0,
    TCPTimeouts = 0,
    TCPSlowStartRetrans = 0,
    TCPLossProbes = 0,
    // SYN-ACKs: the answer to one may be lost. Each is a timeout, too.
    TCPSynRetrans: syn = 0,
  } = sum;
  const timeout = TCPTimeouts + TCPSlowStartRetrans - syn;
  const kernel = { syn, fast, timeout, probe: RetransSegs - fast - timeout - syn, nonCongestion: 0, other: 0 };
  expect(records.some(isProbedInCwr)).toBe(true);
  expect(kernel.probe).toBeLessThanOrEqual(TCPLossProbes);
  expect(calls().resent(port)).toEqual(kernel);
}

function isProbedInCwr({ events }: Connection): boolean {
  return events.some(({ kind, recovery }) => kind === "retransmit_tlp" && recovery === "cwr");
}
