/**
 * A limit of memory that is too small for what the kernel keeps of the sockets: the kernel charges the probe's cgroup for it,
 * and goes on counting beyond the limit. It kills the probe, which needs a page of its own, and nothing is lost.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { MemoryGroup } from "../lab/world/memory-group.ts";
import { missing, needs } from "../machine/needs.ts";

const PORT = 8080;
const CONNECTIONS = 7919;
const SOCKETS = 2 * CONNECTIONS;
/** Of each socket: agent/model/probe-memory.ts. */
const SOCKET_BYTES = 464;

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

const undo: (() => unknown)[] = [];
let lab: Lab;
let group: MemoryGroup;
let tally: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "pod", containers: ["client", "server"] }] }));
  undo.push(() => lab.close());
  group = new MemoryGroup(lab.id);
  tally = await Tally.start(lab, "node-1", [], {}, group.enter);
  undo.push(() => tally.close());
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("sockets beyond the probe's memory limit end the probe, and the next one has counted all of them", async () => {
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
}, 180_000);
