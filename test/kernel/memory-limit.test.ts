/**
 * A limit of memory that is too small for what the kernel keeps of the sockets: the kernel charges the probe's cgroup for it.
 * In the sockets, it goes on counting beyond the limit, kills the probe, which needs a page of its own, and nothing is lost.
 * By address, it gives no more: that is a loss with its number.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { MemoryGroup } from "../lab/world/memory-group.ts";
import { missing, needs } from "../machine/needs.ts";
import { keepsInSockets } from "../machine/socket-storage.ts";

const PORT = 8080;
const CONNECTIONS = 7919;
const SOCKETS = 2 * CONNECTIONS;
/** Of each socket, in it and by address: agent/model/probe-memory.ts. */
const SOCKET_BYTES = 464;
const BYTES_BY_ADDRESS = 264;
/** A multiple of a page, and more than the probe takes. */
const LIMIT_BYTES = 509 << 20;
/** What the kernel charges between two readings, in batches of 64 pages a CPU, and the exchange itself. */
const MOVES_BYTES = 2 << 20;

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
const INSIDE = missing(...NEEDS) === undefined && keepsInSockets();
const ENDS = "sockets beyond the probe's memory limit end the probe, and the next one has counted all of them";
const GOES_ON = "sockets beyond the probe's memory limit are each a loss, and the probe goes on";

const undo: (() => unknown)[] = [];
let lab: Lab;
let group: MemoryGroup;
let tally: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 2, pods: [{ key: "pod", containers: ["client", "server"] }] }));
  undo.push(() => lab.close());
  group = new MemoryGroup(lab.id);
  tally = await Tally.start(lab, "node-1", [], {}, group.enter);
  undo.push(() => tally.close());
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("the probe says what its cgroup's own files say", () => expectTheFiles(tally));

test("it finds its cgroup by its pid where a cgroup namespace hides the name, as a container's does", async () => {
  const enter = [...group.enter, "unshare", "--cgroup"];
  const hidden = await Tally.start(lab, "node-2", [], {}, enter);
  try {
    await expectTheFiles(hidden);
  } finally {
    await hidden.close();
  }
});

test(INSIDE ? ENDS : GOES_ON, () => (INSIDE ? expectTheEnd() : expectLosses()), 180_000);

/** What lies in sockets is charged beyond the limit: the kernel ends the probe, and all is counted. */
async function expectTheEnd(): Promise<void> {
  await lab.pod("pod", "server").serve({ listen: [{ port: PORT }] });
  await tally.take();
  const before = group.usage;
  group.limit(before + 0.75 * SOCKETS * SOCKET_BYTES);
  const first = tally.probe.probe;

  const held = lab
    .pod("pod", "client")
    .start("hold", { to: [{ address: "127.0.0.1", port: PORT }], count: CONNECTIONS });
  await held.ready(60_000);
  const charged = group.usage - before;
  // It was answered before it had come to its limit, or is killed while it answers.
  await eventually(
    "the probe's end",
    () =>
      tally.take().then(
        () => false,
        () => !first.isRunning,
      ),
    60_000,
  );
  const { signal } = await first.ended;
  const kills = group.kills;
  group.renew();
  await tally.probe.startProbe();
  await held.send(1009, 503);
  const { opened, closed, bytesSent, bytesReceived } = await held.close();
  await tally.until(
    () => `all of them closed: ${tally.sum().closed}`,
    () => tally.ended >= SOCKETS,
    60_000,
  );

  expect({ signal, kills }).toEqual({ signal: "SIGKILL", kills: 1 });
  expect(charged).toBeGreaterThan(0.9 * SOCKETS * SOCKET_BYTES);
  const clients = tally.sum(({ role }) => role === "client");
  expect(clients).toMatchObject({ opened, closed, bytesSent, bytesReceived });
  expect(tally.sum(({ role }) => role === "server")).toMatchObject({ opened, closed });
  expect(tally.losses).toEqual({});
}

/** What lies by address is refused at the limit: each socket without is a loss when it opens, and once more when it closes. */
async function expectLosses(): Promise<void> {
  await lab.pod("pod", "server").serve({ listen: [{ port: PORT }] });
  await tally.take();
  group.limit(group.usage + 0.75 * SOCKETS * BYTES_BY_ADDRESS);
  const held = lab
    .pod("pod", "client")
    .start("hold", { to: [{ address: "127.0.0.1", port: PORT }], count: CONNECTIONS });
  await held.ready(60_000);
  await tally.take();
  const { opened } = tally.sum();
  const failed = SOCKETS - opened;
  const losses = { ...tally.losses };
  group.limit("max");
  await held.close();
  await tally.until(
    () => `all of them closed: ${tally.sum().closed}`,
    () => tally.sum().closed === opened,
    60_000,
  );

  expect(failed).toBeGreaterThan(0);
  expect(losses).toEqual({ storage_failed: failed });
  expect(tally.losses).toEqual({ storage_failed: failed, closed_untracked: failed });
  expect([tally.probe.probe.isRunning, group.kills]).toEqual([true, 0]);
}

/** A limit may be above the group, too: that is the same before and after. */
async function expectTheFiles(probe: Tally): Promise<void> {
  const { status: before } = await probe.take();
  expect(Math.abs(before.memoryCharged - group.usage)).toBeLessThan(MOVES_BYTES);
  group.limit(LIMIT_BYTES);
  const { status } = await probe.take();
  expect(Math.abs(status.memoryCharged - group.usage)).toBeLessThan(MOVES_BYTES);
  group.limit("max");
  const { status: after } = await probe.take();
  expect([status.memoryLimit, after.memoryLimit]).toEqual([LIMIT_BYTES, before.memoryLimit]);
}
