/**
 * Resends without a loss on a path: its MTU shrinks in mid-stream; and resends by a timer for nothing: it becomes
 * slow in mid-stream. Each type is what the client's namespace counts as such.
 *
 *   client on node-1 ── node-2, whose device to the server shrinks ── server, a probe on node-1
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import { SEGMENTS_AT_ONCE, startWitness } from "../../machine/witness.ts";
import { resentTypes, Tally } from "../agents/tally.ts";
import { eventually } from "../programs/process.ts";
import { run } from "../programs/run.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth, type KernelBooks } from "../world/kernel-books.ts";
import { type Lab, startLab } from "../world/lab.ts";
import { nodeNamespace, podDevice } from "../world/network-plan.ts";

const SHRINKING = 8080;
const SLOWING = 8081;
const UPLOAD = 100_003;
const DEADLINE_MS = 10_000;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let tally: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(twoPods());
  tally = await Tally.start(lab, "node-1");
  await lab.pod("server").serve({ listen: [{ port: SHRINKING }, { port: SLOWING }] });
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

test("segments that a timer resends for nothing, because the path became slow, are timeouts", async () => {
  const witness = startWitness();
  const before = await lab.pod("client").books();
  const held = lab.pod("client").start("hold", { to: to(SLOWING), count: 5 });
  await held.ready();
  await held.send(UPLOAD, 1009, DEADLINE_MS);
  const delay = await lab.delay("node-1", "node-2", 307);

  await held.send(UPLOAD, 1009, DEADLINE_MS);
  await delay.remove();
  await held.close();
  const hidden = witness.stop() * SEGMENTS_AT_ONCE;
  const { tcp, tcpExt } = await growth(before);
  await tally.until(
    () => "five closes",
    () => tally.sum((key) => key.serverPort === SLOWING).closed === 5,
    30_000,
  );
  const told = types(SLOWING);

  const { TCPTimeouts = 0, TCPSlowStartRetrans = 0, TCPFastRetrans: fast = 0 } = tcpExt;
  const timeout = TCPTimeouts + TCPSlowStartRetrans;
  const kernel = { syn: 0, fast, timeout, probe: tcp.RetransSegs - fast - timeout, nonCongestion: 0, other: 0 };
  expect(TCPTimeouts).toBeGreaterThan(0);
  expect(sum(told)).toBe(tcp.RetransSegs);
  if (hidden === 0) expect(told).toEqual(kernel);
}, 120_000);

// Last: what its killed client has not sent goes on being resent.
test("segments that are too large for a path whose MTU shrank are resent without a loss, and no timer ran out", async () => {
  const witness = startWitness();
  const before = await lab.pod("client").books();
  const held = lab.pod("client").start("hold", { to: to(SHRINKING), count: 1 });
  await held.ready();
  await held.send(UPLOAD, 1009, DEADLINE_MS);
  const server = lab.description.pods.find(({ key }) => key === "server");
  if (server === undefined) throw new Error("no server");
  const device = ["dev", podDevice(lab.description, server)];
  await run(["ip", "-n", nodeNamespace(lab.id, "node-2"), "link", "set", ...device, "mtu", "1000"]);

  held.process.command(`send ${UPLOAD} 1009`);
  const resent = await eventually("resent segments", async () => {
    const now = await growth(before);
    return now.tcp.RetransSegs > 0 && now;
  });
  await tally.take();
  const told = types(SHRINKING);
  const now = await growth(before);
  const hidden = witness.stop() * SEGMENTS_AT_ONCE;
  await held.process.stop("SIGKILL");

  expect(resent.tcpExt).toMatchObject({
    TCPTimeouts: 0,
    TCPFastRetrans: 0,
    TCPSlowStartRetrans: resent.tcp.RetransSegs,
  });
  expect(told.nonCongestion).toBeGreaterThanOrEqual(resent.tcp.RetransSegs - hidden);
  // What goes on being resent is so by a timer.
  expect(told.timeout + told.nonCongestion + told.other).toBe(sum(told));
  expect(sum(told)).toBeLessThanOrEqual(now.tcp.RetransSegs);
  expect(tally.losses).toEqual({});
}, 120_000);

function to(port: number) {
  return [{ address: lab.pod("server").ips.v4, port }];
}

async function growth(before: KernelBooks) {
  const now = await lab.pod("client").books();
  const tcp = booksGrowth(before, now, "Tcp");
  return { tcp: { ...tcp, RetransSegs: tcp.RetransSegs ?? 0 }, tcpExt: booksGrowth(before, now, "TcpExt") };
}

/** Of the client's end. */
function types(port: number) {
  return resentTypes(tally.sum((key) => key.serverPort === port));
}

function sum(types: Readonly<Record<string, number>>): number {
  return Object.values(types).reduce((all, count) => all + count, 0);
}
