/**
 * Whose a server's connections are where another accepts than listens, as with socket activation: the kernel gives an
 * accepted socket its listener's cgroup, and keeps no other with it. The reference says so.
 *
 *   `listens` makes a listener ── moves, or hands it on ──► `accepts`        `client` connects
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { Tally } from "../lab/agents/tally.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
const PORT = 8080;

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "pod", containers: ["listens", "accepts", "client"] }] }));
  tally = await Tally.start(lab, "node-1");
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("connections belong to the cgroup in which their listener was made, whoever accepts them", async () => {
  const server = await lab.pod("pod", "listens").serve({ listen: [{ port: PORT }], workers: 1 });
  // The workers hold the listener by inheritance, as a service holds systemd's.
  for (const pid of processesOf("listens")) writeFileSync(join(cgroupOf("accepts"), "cgroup.procs"), pid);

  await lab.pod("pod", "client").play("send", { to: [{ address: "127.0.0.1", port: PORT }], count: CONNECTIONS });
  const { closed } = await server.until((counts) => counts.closed === CONNECTIONS);
  await tally.until(
    () => "all of them closed",
    () => tally.sum(({ role }) => role === "server").closed === CONNECTIONS,
  );

  expect(closed).toBe(CONNECTIONS);
  expect(processesOf("listens")).toEqual([]);
  expect({ listens: openedBy("listens"), accepts: openedBy("accepts") }).toEqual({ listens: CONNECTIONS, accepts: 0 });
  expect(tally.losses).toEqual({});
});

function cgroupOf(container: string): string {
  return lab.pod("pod", container).place.cgroup;
}

function processesOf(container: string): string[] {
  return readFileSync(join(cgroupOf(container), "cgroup.procs"), "utf8")
    .split("\n")
    .filter((pid) => pid !== "");
}

/** Server's connections that count under the container's cgroup. */
function openedBy(container: string): number {
  const id = statSync(cgroupOf(container), { bigint: true }).ino;
  return tally.sum(({ role, cgroup }) => role === "server" && cgroup === id).opened;
}
