/**
 * Resends without a loss on a path: its MTU shrinks in mid-stream; and resends by a timer for nothing: it becomes
 * slow in mid-stream. Each type is what the client's namespace counts as such.
 *
 *   client on node-1 ── node-2, whose device to the server shrinks ── server, a probe on node-1
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { resentTypes, Tally } from "../agents/tally.ts";
import { enterArguments, eventually } from "../programs/process.ts";
import { run } from "../programs/run.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth, type KernelBooks } from "../world/kernel-books.ts";
import { type Lab, startLab } from "../world/lab.ts";
import { nodeNamespace, podDevice } from "../world/network-plan.ts";

/** Each attempt has a port of its own: this one and every tenth after it. */
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
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

test("segments that a timer resends for nothing, because the path became slow, are timeouts", async () => {
  await untilNothingHidden((attempt) => becomeSlow(SLOWING + 10 * attempt));
}, 300_000);

async function becomeSlow(port: number): Promise<void> {
  await lab.pod("server").serve({ listen: [{ port }] });
  const before = await lab.pod("client").books();
  const held = lab.pod("client").start("hold", { to: to(port), count: 5 });
  await held.ready();
  await held.send(UPLOAD, 1009, DEADLINE_MS);
  const delay = await lab.delay("node-1", "node-2", 307);
  try {
    await held.send(UPLOAD, 1009, DEADLINE_MS);
  } finally {
    await delay.remove();
  }
  await held.close();
  const { tcp, tcpExt } = await growth(before);
  await closes(port, 5);
  const told = types(port);

  const { TCPTimeouts = 0, TCPSlowStartRetrans = 0, TCPFastRetrans: fast = 0 } = tcpExt;
  const timeout = TCPTimeouts + TCPSlowStartRetrans;
  const kernel = { syn: 0, fast, timeout, probe: tcp.RetransSegs - fast - timeout, nonCongestion: 0, other: 0 };
  expect(TCPTimeouts).toBeGreaterThan(0);
  expect(told).toEqual(kernel);
}

test("segments that are too large for a path whose MTU shrank are resent without a loss, and no timer ran out", async () => {
  await untilNothingHidden((attempt) => shrink(SHRINKING + 10 * attempt));
}, 300_000);

async function shrink(port: number): Promise<void> {
  await lab.pod("server").serve({ listen: [{ port }] });
  await tally.take();
  // An attempt that the machine hid something from may have left some.
  const { losses } = tally;
  const before = await lab.pod("client").books();
  const held = lab.pod("client").start("hold", { to: to(port), count: 1 });
  await held.ready();
  await held.send(UPLOAD, 1009, DEADLINE_MS);

  await setServersMtu(1000);
  try {
    // The answer passes: nobody tells the server of the path's MTU.
    const uploaded = held.send(UPLOAD, 211, DEADLINE_MS);
    const resent = await eventually("resent segments", async () => {
      const now = await growth(before);
      return now.tcp.RetransSegs > 0 && now;
    });
    await uploaded;
    await tally.take();
    const told = types(port);
    const now = await growth(before);

    expect(resent.tcpExt).toMatchObject({
      TCPTimeouts: 0,
      TCPFastRetrans: 0,
      TCPSlowStartRetrans: resent.tcp.RetransSegs,
    });
    expect(told.nonCongestion).toBeGreaterThanOrEqual(resent.tcp.RetransSegs);
    // What goes on being resent is so by a timer.
    expect(told.timeout + told.nonCongestion + told.other).toBe(sum(told));
    expect(sum(told)).toBeLessThanOrEqual(now.tcp.RetransSegs);
    expect(tally.losses).toEqual(losses);
  } finally {
    await setServersMtu(1500);
    await forgetPathMtu();
    await held.close();
  }
}

function to(port: number) {
  return [{ address: lab.pod("server").ips.v4, port }];
}

async function growth(before: KernelBooks) {
  const now = await lab.pod("client").books();
  const tcp = booksGrowth(before, now, "Tcp");
  return { tcp: { ...tcp, RetransSegs: tcp.RetransSegs ?? 0 }, tcpExt: booksGrowth(before, now, "TcpExt") };
}

async function closes(port: number, count: number): Promise<void> {
  await tally.until(
    () => `${count} closes`,
    () => tally.sum((key) => key.serverPort === port).closed === count,
    30_000,
  );
}

/** On the device that leads to it from its node. */
async function setServersMtu(bytes: number): Promise<void> {
  const server = lab.description.pods.find(({ key }) => key === "server");
  if (server === undefined) throw new Error("no server");
  const device = ["dev", podDevice(lab.description, server)];
  await run(["ip", "-n", nodeNamespace(lab.id, "node-2"), "link", "set", ...device, "mtu", String(bytes)]);
}

/** The client's kernel keeps what a path's MTU is at the route's next hop: a route that is made anew knows nothing. */
async function forgetPathMtu(): Promise<void> {
  const inClient = (...argv: string[]) => run(enterArguments(lab.pod("client").place, ["ip", "route", ...argv]));
  const route = (await inClient("show", "default")).trim().split(" ");
  await inClient("del", ...route);
  await inClient("add", ...route);
}

/** Of the client's end. */
function types(port: number) {
  return resentTypes(tally.sum((key) => key.serverPort === port));
}

function sum(types: Readonly<Record<string, number>>): number {
  return Object.values(types).reduce((all, count) => all + count, 0);
}
