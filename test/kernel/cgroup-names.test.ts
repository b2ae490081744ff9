/**
 * Names of cgroups as long as runtimes make them, and longer: whole up to a file name's 255 bytes, and beyond that cut
 * with a count. cgroupfs itself has no such limit.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../agent/generated/layout.ts";
import type { Cgroup } from "../../agent/model/probe-event.ts";
import { parseCgroup } from "../../agent/naming/local/cgroup.ts";
import { Tally } from "../lab/agents/tally.ts";
import { connectFromEach } from "../lab/programs/crowd.ts";
import { LabProcess } from "../lab/programs/process.ts";
import { program, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
const ID = "4f0c6e1a9d2b7c3e5f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6";
const UID = "8f3a1b2c_4d5e_6f70_8192_a3b4c5d6e7f8";

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "pod" }, { key: "other" }] }));
  tally = await Tally.start(lab, "node-1");
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

// containerd with its cgroupfs driver under a kubelet with the systemd driver: one directory for all.
const COLON = `kubepods-burstable-pod${UID}.slice:cri-containerd:${ID}`;

const NAMES = [
  { what: "containerd's 144 characters", path: [COLON], ends: { containerId: ID } },
  {
    what: "CRI-O's 124 characters",
    path: [COLON.replace("-burstable", "").replace("cri-containerd", "crio")],
    ends: { containerId: ID },
  },
  { what: "255 characters, a file name's most", path: [`${"u".repeat(247)}.service`], ends: { kind: "unit" } },
  // kind's and others' nested kubelets lengthen the slices with a prefix each.
  {
    what: "eight long levels",
    path: ["a", "b", "c", "d", "e", "f", "g", "h"].map((letter) => letter.repeat(251)),
    ends: { kind: "unknown" },
  },
];

for (const { what, path, ends } of NAMES)
  test(`a cgroup's name is kept whole: ${what}`, async () => {
    const { names } = await named(path);

    expect(names.slice(0, path.length)).toEqual(path.toReversed());
    expect(parseCgroup(names)).toMatchObject(ends);
    expect(tally.losses).toEqual({});
  });

const KUBEPODS = ["kubepods.slice", "kubepods-burstable.slice"] as const;
const POD = [...KUBEPODS, `kubepods-burstable-pod${UID}.slice`, `cri-containerd-${ID}.scope`] as const;
const VICTIM = [
  ...KUBEPODS,
  `kubepods-burstable-pod${UID.replace("8f3a1b2c", "deadbeef")}.slice`,
  `cri-containerd-${"b3".repeat(32)}.scope`,
] as const;

const FORGED = [
  {
    what: "a container whose init system, or nested Kubernetes, makes another pod's path below itself",
    path: [...POD, ...VICTIM, ...VICTIM],
    levels: 4,
    is: { kind: "container", containerId: ID, podUid: UID.replaceAll("_", "-") },
  },
  {
    what: "a user who makes a pod's path below the user's own manager",
    path: ["user.slice", "user-1000.slice", "user@1000.service", "app.slice", ...VICTIM],
    levels: 3,
    is: { kind: "unit", unit: "user@1000.service" },
  },
  {
    what: "a system service's owner who nests deeper than names are kept",
    path: ["system.slice", "web.service", "a", "b", "c", "d", "e", "f", "g", "h", "ssh.service"],
    levels: 2,
    is: { kind: "unit", unit: "web.service" },
  },
];

for (const { what, path, levels, is } of FORGED)
  test(`names below one's own cgroup make nobody another: ${what}`, async () => {
    const { names } = await named(path);

    expect(names).toEqual(path.slice(0, levels).toReversed());
    expect(parseCgroup(names)).toMatchObject(is);
    expect(tally.losses).toEqual({});
  });

test("on a node that is a container itself, as kind makes them, a pod's container is named whole", async () => {
  const slices = ["kubelet.slice", "kubelet-kubepods.slice", "kubelet-kubepods-burstable.slice"];
  const pod = `kubelet-kubepods-burstable-pod${UID}.slice`;
  const path = [
    "machine.slice",
    `libpod-${"b3".repeat(32)}.scope`,
    "container",
    ...slices,
    pod,
    `cri-containerd-${ID}.scope`,
  ];

  const { names } = await named(path);

  expect(names).toEqual(path.toReversed());
  expect(parseCgroup(names)).toMatchObject({ kind: "container", containerId: ID, podUid: UID.replaceAll("_", "-") });
});

for (const length of [256, 300])
  test(`a cgroup's name of ${length} characters is cut at 255, which is counted, and is never taken for the host`, async () => {
    const name = `kubepods-pod${UID}.slice:crio:${ID}`.padStart(length, "x-");

    const { names } = await named([name]);

    expect(names[0]).toBe(name.slice(0, 255));
    expect(parseCgroup(names).kind).not.toBe("host");
    expect(tally.losses).toEqual({ cgroup_name_cut_detail: 1 });
  });

test("names that others have pushed out of the table are learned again from the next socket, for the next agent too", async () => {
  const path = ["system.slice", "web.service"];
  const first = await named(path);
  const key = Buffer.alloc(8);
  key.writeBigUInt64LE(first.id);
  const table = join(tally.probe.pins, `v${FLOWSPAN_PROTOCOL}`, "cgroups");
  await run(["bpftool", "map", "delete", "pinned", table, "key", ...[...key].map(String)]);
  tally.cgroups.clear();
  await tally.replaceReader();

  const again = await named(path);

  expect({ ...again, seenNs: 0n }).toEqual({ ...first, seenNs: 0n });
});

test("a table is as full as cgroups have edges: those whose edges have left count no more", async () => {
  const directory = join(lab.nodeCgroup("node-1"), "system.slice");
  await lab.pod("other").serve({ listen: [{ port: 8080 }] });
  const to = { address: lab.pod("other").ips.v4, port: 8080 };

  await tally.take();
  const { cgroups: before } = tally.last.status;
  await connectFromEach(lab.pod("pod").place, directory, 37, to);
  await tally.take();
  const { cgroups: crowded } = tally.last.status;
  tally.client.settings({ idleNs: 1n, records: false });
  await tally.until(
    () => "all but the listener's edge have left",
    () => tally.last.status.edges === 1,
  );
  await tally.take();

  expect([before, crowded - before, tally.last.status.cgroups]).toEqual([1, 37, 1]);
});

/** What the probe says of the edges of the cgroup at `path` below the node's, once a connection was made in it. */
async function named(path: readonly string[]): Promise<Cgroup> {
  const cgroup = join(lab.nodeCgroup("node-1"), ...path);
  mkdirSync(cgroup, { recursive: true });
  const { netns } = lab.pod("pod").place;
  const other = lab.pod("other").place.netns;
  const before = tally.sum(({ role }) => role === "client").closed;
  const strays = new LabProcess({ cgroup, netns }, [program("strays"), "thread", other, "7971", "1", "1"]);
  strays.command("go");
  await tally.until(
    () => `its connections closed: ${strays.describe()}`,
    () => tally.sum(({ role }) => role === "client").closed === before + 2,
  );
  await strays.stop();
  const [edge] = [...tally.edges.values()].filter(({ key }) => key.role === "client");
  const found = edge && tally.cgroups.get(edge.key.cgroup);
  if (!found) throw new Error("no cgroup was named");
  return found;
}
