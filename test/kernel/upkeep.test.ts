/**
 * What a running probe stands on, taken away by hand: it notices within seconds, says so once, ends where a start mends it,
 * and the numbers stay exact but for what is counted by name.
 *
 *   one pod: container `client` ── lo ── container `server`, this process in the agent's place
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../agent/generated/layout.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { output, PROBE, program, run } from "../lab/programs/run.ts";
import { clientArguments, Workload } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { pinsDirectory, runDirectory } from "../lab/world/leftovers.ts";
import { missing, needs } from "../machine/needs.ts";
import { keepsInSockets } from "../machine/socket-storage.ts";

const PORT = 8080;
const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let tally: Tally | undefined;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
  await lab.pod("both", "server").serve({ listen: [{ port: PORT }] });
});

afterEach(async () => {
  await tally?.close();
  tally = undefined;
  await lab?.close();
});

test("pins that are removed under a probe take nothing from it: it counts on, and says once what that means", async () => {
  const here = await start();
  await play(here, 31);
  rmSync(here.probe.pins, { recursive: true });

  await eventually("the trouble", () => here.troubles.at(-1) === "pins");
  await play(here, 37);

  expect(opened(here)).toBe(2 * (31 + 37));
  await passSeconds(here, 3);
  expect(said(here, "the pins were removed")).toHaveLength(1);
  expect(here.troubles).toEqual(["", "pins"]);
});

test("a bpffs that is detached under a probe is noticed, and the probe counts on", async () => {
  // The kernel refuses to unmount it while the probe looks at it; what --lazy detaches stays for those who hold it.
  const mount = join("/run", lab.id, "pins");
  const here = await start(["--pins", mount]);
  const { stderr } = await output(["umount", mount]);
  await run(["umount", "--lazy", mount]);
  expect(stderr).toContain("busy");

  await eventually("the trouble", () => here.troubles.at(-1) === "pins");
  await play(here, 29);

  expect(opened(here)).toBe(2 * 29);
});

test("the kernel lets nobody detach a hook while the probe holds it", async () => {
  const here = await start();

  const { stderr, stdout } = await output([
    "bpftool",
    "link",
    "detach",
    "id",
    String((await linkOf(here.probe.probe.pid, "tcp_send_reset")).id),
  ]);

  expect(stdout + stderr).toContain("not supported");
  await play(here, 23);
  expect(opened(here)).toBe(2 * 23);
});

test("an iterator that somebody leads to another program ends the probe, whose next start has its own again", async () => {
  const iteratorOf = (pid: number) => linkOf(pid, keepsInSockets() ? "bpf_sk_storage_map" : "task");
  const here = await start();
  await play(here, 19);
  const other = await startOther();

  try {
    const [ours, others] = [await iteratorOf(here.probe.probe.pid), await iteratorOf(other.pid)];
    await run([program("relink"), String(ours.id), String(others.prog_id)]);
    await startedAgain(here, "leads to another program");
  } finally {
    await other.stop();
  }
  await play(here, 47);

  expect(opened(here)).toBe(2 * (19 + 47));
  expect(here.losses).toEqual({ hook_gap: 1 });
});

test("a generation that was changed by hand is put back and counted, and the probe does not end", async () => {
  const here = await start();
  const settings = join(pinsOf(here), "settings");
  const [{ value }] = JSON.parse(await run(["bpftool", "-j", "map", "dump", "pinned", settings])) as [
    { value: string[] },
  ];
  const bytes = [...value.slice(0, 7).map(() => "0x00"), "0x7f", ...value.slice(8)];
  await run(["bpftool", "map", "update", "pinned", settings, "key", ...Array(4).fill("0"), "value", ...bytes]);

  await eventually("the generation again", () => said(here, "by hand").length > 0);
  await play(here, 43);

  expect(opened(here)).toBe(2 * 43);
  expect(here.probe.probe.isRunning).toBe(true);
  expect(Object.keys(here.losses)).toEqual(["hook_gap"]);
});

test("a cgroup filter whose cgroup is made again ends the probe, whose next start counts the new one and what is open in it", async () => {
  const slice = join(lab.nodeCgroup("node-1"), "again.slice");
  mkdirSync(slice);
  const here = await start(["--cgroup", slice]);
  await inSlice(slice).play(7);
  rmdirSync(slice);
  await eventually("the trouble", () => here.troubles.at(-1) === "filter");
  mkdirSync(slice);
  const held = inSlice(slice).hold(5);
  await held.ready();

  expect(said(here, "was removed: nothing is counted")).toHaveLength(1);
  await startedAgain(here, "was made again");
  const adopted = here.sum().bytesSent;
  await here.until(
    () => "ten rounds of each of the five",
    () => here.sum().bytesSent >= adopted + 5 * 10 * 101,
  );
  await held.close();
  await inSlice(slice).play(11);
  await here.until(
    () => `7, 5 and 11 closed: ${here.sum().closed}`,
    () => here.ended === 7 + 5 + 11,
  );

  expect(here.losses).toEqual({ filter_gap: 1 });
});

test("prefix rules that cannot be written to a frozen map are refused by that name", async () => {
  const here = await start();
  await run(["bpftool", "map", "freeze", "pinned", join(pinsOf(here), "prefix_rules")]);

  here.client.prefixRules([{ address: "192.0.2.0", prefixLength: 24, collapse: true }]);

  await eventually("the refusal", () => said(here, "is frozen").length > 0);
});

async function start(probeArguments: readonly string[] = []): Promise<Tally> {
  tally = await Tally.start(lab, "node-1", probeArguments);
  return tally;
}

/** Another probe on the same node, whose programs iterate over the same. */
async function startOther(): Promise<LabProcess> {
  const socket = join(runDirectory(lab.id), "other.sock");
  const pins = join(pinsDirectory(lab.id), "other");
  const other = new LabProcess({ cgroup: lab.outsideCgroup }, [
    ...[PROBE, "--socket", socket, "--pins", pins, "--cgroup", lab.nodeCgroup("node-1")],
  ]);
  await eventually(
    () => `a probe that listens: ${other.describe()}`,
    () => existsSync(socket),
    30_000,
  );
  return other;
}

/** Waits until the probe has ended by itself with those words, and does what its supervisor does then. */
async function startedAgain(here: Tally, words: string): Promise<void> {
  const before = here.probe.probe;
  expect((await before.ended).code).toBe(3);
  expect(before.stderr.filter((line) => line.includes(words))).toHaveLength(1);
  await here.probe.startProbe();
}

/** Connections whose both ends are counted; takes until all of them are. */
async function play(here: Tally, count: number): Promise<void> {
  const before = here.exchanges === 0 ? 0 : here.ended;
  const to = [{ address: "127.0.0.1", port: PORT }];
  expect(await lab.pod("both", "client").play("churn", { to, count })).toMatchObject({ opened: count, closed: count });
  await here.until(
    () => `${2 * count} more closed`,
    () => here.ended >= before + 2 * count,
  );
}

function inSlice(cgroup: string) {
  const { netns } = lab.pod("both", "client").place;
  const to = [{ address: "127.0.0.1", port: PORT }];
  const workload = (job: "churn" | "hold", options: object) =>
    new Workload({ cgroup, netns }, clientArguments(job, { to, ...options }));
  return {
    play: (count: number) => workload("churn", { count }).end(),
    hold: (count: number) => workload("hold", { count, everyMs: 20, upload: 101, download: 103 }),
  };
}

/** Lets the probe look at its things so often. */
async function passSeconds(here: Tally, seconds: number): Promise<void> {
  const from = Date.now();
  await here.until(
    () => "time",
    () => Date.now() - from > seconds * 1000,
  );
}

function opened(here: Tally): number {
  return here.sum().opened;
}

function said({ probe }: Tally, words: string): string[] {
  return probe.probe.stderr.filter((line) => line.includes(words));
}

function pinsOf({ probe }: Tally): string {
  return join(probe.pins, `v${FLOWSPAN_PROTOCOL}`);
}

interface LinkInfo {
  readonly id: number;
  readonly prog_id: number;
  readonly tp_name?: string;
  readonly target_name?: string;
}

/** A probe's link to one of these tracepoints or targets of iterators: the first of them that it has. */
async function linkOf(pid: number, ...names: readonly string[]): Promise<LinkInfo> {
  const directory = `/proc/${pid}/fdinfo`;
  const held = readdirSync(directory).map((fd) => readFileSync(join(directory, fd), "utf8"));
  const ids = new Set(held.flatMap((info) => /^link_id:\t(\d+)$/m.exec(info)?.[1] ?? []).map(Number));
  const links = (JSON.parse(await run(["bpftool", "-j", "link", "show"])) as LinkInfo[]).filter(({ id }) =>
    ids.has(id),
  );
  const found = names.flatMap((name) => links.find((link) => [link.tp_name, link.target_name].includes(name)) ?? []);
  if (found[0] === undefined) throw new Error(`the probe holds no link to ${names}`);
  return found[0];
}
