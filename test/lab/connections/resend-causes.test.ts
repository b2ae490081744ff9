/**
 * Types of resent segments where a receiver takes back what it has acknowledged, or the path drops in silence what is too
 * large for it: each is what the namespace counts as such, both ends together.
 * A case has a port for each time that it is played: its own and every tenth after it.
 *
 *   both ends on one loopback of 1500 bytes, each segment by itself, rules that lose segments by their length
 */
import { expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { NEEDS, pair, type Told, times, useCallLab } from "../agents/call-lab.ts";
import { enterArguments } from "../programs/process.ts";
import { run } from "../programs/run.ts";

const HEAD_BYTES = 101;
/** Of IP, TCP and its timestamps. */
const HEADERS = 52;

const test = needs(...NEEDS, "iptables");
const calls = useCallLab(async (lab) => {
  if (missing("iptables") !== undefined) return;
  const alone = ["lo", "mtu", "1500", "gso_max_segs", "1"];
  await run(enterArguments(lab.pod("both").place, ["ip", "link", "set", ...alone]));
});

test("what a receiver has acknowledged out of order and dropped again is resent by a timer (SACK reneging)", async () => {
  await untilNothingHidden((attempt) => renege(7404 + 10 * attempt));
}, 60_000);

async function renege(port: number): Promise<void> {
  // The first segment is lost until the receiver has thrown away what came after it.
  const isFirst = `-p tcp --dport ${port} -m length --length ${HEAD_BYTES + HEADERS}`;
  const lose = await calls().rule(`-t filter INPUT -i lo ${isFirst} -m limit --limit 1/day --limit-burst 3 -j DROP`);

  const told = await calls()
    .play(
      [...pair(port), "nodelay 1 1", `send 1 ${HEAD_BYTES}`, "send 1 20011", "pause 0 20", "rcvbuf 2 1", "send 1 1009"],
      [`recv 2 ${HEAD_BYTES + 20011 + 1009}`, "close 1", "recv 2 0", "close 2"],
    )
    .finally(lose);
  await calls().records(port, 2);

  expect(told.failures).toEqual({});
  expect(told.tcpExt.TCPSACKReneging).toBeGreaterThan(0);
  expectCounted(told, port);
}

test("segments that were too large a probe of the path (tcp_mtu_probing=2) are resent without a loss", async () => {
  await untilNothingHidden((attempt) => probePath(7405 + 10 * attempt));
}, 60_000);

async function probePath(port: number): Promise<void> {
  const told = await throughNarrow(port, "net.ipv4.tcp_mtu_probing=2", "net.ipv4.tcp_base_mss=1024");

  const { RetransSegs = 0 } = told.tcp;
  const { TCPSlowStartRetrans: nonCongestion = 0, TCPFastRetrans: fast = 0 } = told.tcpExt;
  const probe = RetransSegs - nonCongestion - fast;
  expect(told.tcpExt.TCPMTUPFail).toBeGreaterThan(0);
  expect(told.tcpExt.TCPTimeouts).toBe(0);
  expect(calls().resent(port)).toEqual({ syn: 0, fast, timeout: 0, probe, nonCongestion, other: 0 });
}

test("segments that are too large for a path that does not say so (tcp_mtu_probing=1) are resent by timers", async () => {
  await untilNothingHidden((attempt) => probeBlackhole(7406 + 10 * attempt));
}, 60_000);

async function probeBlackhole(port: number): Promise<void> {
  const settings = ["net.ipv4.tcp_mtu_probing=1", "net.ipv4.tcp_base_mss=512", "net.ipv4.tcp_retries1=1"];
  // Once it has a size that passes, the kernel probes larger ones, which fail without a timer: not here.
  settings.push("net.ipv4.tcp_probe_threshold=1500");

  const told = await throughNarrow(port, ...settings);

  expect(told.tcpExt.TCPTimeouts).toBeGreaterThan(1);
  expect(told.tcpExt.TCPMTUPFail).toBe(0);
  expectCounted(told, port);
}

/** Some requests from 1500 bytes of MTU through a path that drops what has 1200 or more. */
async function throughNarrow(port: number, ...settings: readonly string[]): Promise<Told> {
  await calls().sysctl(...settings);
  const isLarge = `-p tcp --dport ${port} -m length --length 1200:65535`;
  const remove = await calls().rule(`-t filter INPUT -i lo ${isLarge} -j DROP`);
  const told = await calls()
    .play(
      pair(port),
      times(7, () => ["send 1 40009", "recv 2 40009"]),
      ["close 1", "recv 2 0", "close 2"],
    )
    .finally(remove);
  await calls().records(port, 2);
  expect(told.failures).toEqual({});
  return told;
}

/** Probes of a burst's end are those that no other counter of the kernel has. */
function expectCounted({ tcp, tcpExt }: Told, port: number): void {
  const { TCPFastRetrans: fast = 0, TCPTimeouts = 0, TCPSlowStartRetrans = 0 } = tcpExt;
  const timeout = TCPTimeouts + TCPSlowStartRetrans;
  const probe = (tcp.RetransSegs ?? 0) - fast - timeout;
  expect(calls().resent(port)).toEqual({ syn: 0, fast, timeout, probe, nonCongestion: 0, other: 0 });
}
