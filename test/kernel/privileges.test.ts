/**
 * What runs with which right: the agent with none at all, the probe after its start with CAP_BPF alone and few system calls, of our
 * programs none for a packet.
 *
 * Read from /proc and from the kernel's own lists of programs and links, not from what our processes say.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { USER_AGENT, USER_PROBE } from "../../agent/generated/layout.ts";
import { readIfThere, threadFiles } from "../../agent/shared/procfs.ts";
import { type NodeAgent, startAgents } from "../lab/agents/agents.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { ROOT, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { parseSnmp } from "../lab/world/kernel-books.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { pinsDirectory, runDirectory } from "../lab/world/leftovers.ts";
import { missing, needs } from "../machine/needs.ts";
import { keepsInSockets } from "../machine/socket-storage.ts";
import { Receiver } from "../otlp/receiver.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** include/uapi/linux/capability.h: CAP_BPF is 39. */
const CAP_BPF = (1n << 39n).toString(16).padStart(16, "0");
const NONE = "0".repeat(16);

let lab: Lab;
let receiver: Receiver;
let node: NodeAgent;
let programsBefore: Program[];

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  programsBefore = await listed<Program>("prog");
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
  receiver = await Receiver.start();
  [node] = (await startAgents(lab, { endpoint: receiver.endpoint, intervalMs: 300 })) as [NodeAgent];
});

afterAll(async () => {
  await node?.stop();
  await receiver?.close();
  await lab?.close();
});

const AGENT = {
  users: [USER_AGENT],
  groups: [USER_AGENT],
  supplementary: [],
  inheritable: NONE,
  permitted: NONE,
  effective: NONE,
  ambient: NONE,
  noNewPrivileges: true,
};

const PROBE = {
  ...AGENT,
  users: [USER_PROBE],
  groups: [USER_PROBE],
  permitted: CAP_BPF,
  effective: CAP_BPF,
  bounding: NONE,
  /** Of system calls (prctl(2), SECCOMP_MODE_FILTER); bpf/probe/confine_test.c attacks it. */
  seccomp: 2,
};

test("no thread of the agent is root, has a capability or can win one", () => {
  for (const thread of threads(node.agent.pid)) expect(rightsOf(thread)).toMatchObject(AGENT);
});

test("the probe keeps CAP_BPF alone once it has started, can win nothing back, and may make few system calls", () => {
  const all = threads(node.probe.pid).map(rightsOf);

  expect(all).toEqual([PROBE]);
});

test("an agent that is started as root gives all of it up, and so does the probe that it started", async () => {
  const directory = join(runDirectory(lab.id), "workstation");
  const argv = [
    ...[join(ROOT, "flowspan"), "agent", "--endpoint", receiver.endpoint, "--kubernetes", "off"],
    ...["--probe-socket", join(directory, "probe.sock"), "--admin-socket", join(directory, "agent/admin.sock")],
    ...["--pins", join(pinsDirectory(lab.id), "workstation"), "--cgroup", lab.nodeCgroup("node-1")],
  ];
  const agent = new LabProcess({ cgroup: lab.outsideCgroup }, argv);

  // Both begin as root: waits until the agent says that it is nobody and the probe has given up what it gives up
  // last, and looks at all that they have then.
  const probe = await eventually(
    () => `two processes that are not root: ${agent.describe()}`,
    () => {
      if (!agent.stderr.some((line) => line.includes('"msg":"flowspan agent"'))) return false;
      const [supervisor] = children(agent.pid);
      const [probe] = supervisor === undefined ? [] : children(supervisor);
      const [thread] = probe === undefined ? [] : threads(probe);
      return thread !== undefined && rightsOf(thread).seccomp === PROBE.seccomp && probe;
    },
    20_000,
  );

  for (const thread of threads(agent.pid)) expect(rightsOf(thread)).toMatchObject(AGENT);
  expect(threads(probe).map(rightsOf)).toEqual([PROBE]);
  await agent.stop();
  expect((await agent.ended).code).toBe(0);
});

/** What each of our links hangs on. None of these happens once a packet. */
const ATTACHED = {
  inet_sk_error_report: "raw_tracepoint inet_sk_error_report",
  inet_sock_set_state: "raw_tracepoint inet_sock_set_state",
  inet_sock_set_state_twin: "raw_tracepoint inet_sock_set_state",
  kfree_skb: "raw_tracepoint kfree_skb",
  kfree_skb_twin: "raw_tracepoint kfree_skb",
  namespaces: "iter task",
  neigh_create: "raw_tracepoint neigh_create",
  neigh_timer_handler: "raw_tracepoint neigh_timer_handler",
  tcp_receive_reset: "raw_tracepoint tcp_receive_reset",
  tcp_retransmit_skb: "raw_tracepoint tcp_retransmit_skb",
  tcp_retransmit_synack: "raw_tracepoint tcp_retransmit_synack",
  tcp_send_reset: "raw_tracepoint tcp_send_reset",
};
/** Loaded, and run by the probe itself at its start, once a settle or once an exchange. */
const NOT_ATTACHED = { adopt: "tracing", adopt_listeners: "tracing", settle: "syscall" };
const BY_ADDRESS = keepsInSockets() ? {} : { walk_by_address: "raw_tracepoint" };

test("our programs are the documented ones, and hang on what happens to sockets and on iterators", async () => {
  const ours = await ownPrograms();
  const nameOf = new Map(ours.map(({ id, name }) => [id, name]));
  const links = (await listed<Link>("link")).filter(({ prog_id }) => nameOf.has(prog_id));

  const attached = links.map(({ prog_id, type, tp_name, target_name }) => [
    nameOf.get(prog_id),
    `${type} ${tp_name ?? target_name}`,
  ]);
  const documented = {
    ...ATTACHED,
    ...(keepsInSockets() ? { walk: "iter bpf_sk_storage_map" } : {}),
  };
  expect(Object.fromEntries(attached)).toEqual(documented);
  expect(links.length).toBe(Object.keys(documented).length);
  const tracing = Object.fromEntries(Object.keys(documented).map((name) => [name, "tracing"]));
  expect(Object.fromEntries(ours.map(({ name, type }) => [name, type]))).toEqual({
    ...tracing,
    ...NOT_ATTACHED,
    ...BY_ADDRESS,
  });
});

test("no program of a kind that sees packets came with us", async () => {
  const before = new Set(programsBefore.map(({ id }) => id));

  const fresh = (await listed<Program>("prog")).filter(({ id }) => !before.has(id));

  // Else it would be one of sched_cls, xdp, cgroup_skb, sock_ops, socket_filter and the like.
  const kinds = new Set(fresh.map(({ type }) => type));
  expect([...kinds].sort()).toEqual([...Object.values(BY_ADDRESS), "syscall", "tracing"]);
});

test("a thousand packets on open connections do not run our hooks", async () => {
  const server = lab.pod("server");
  await server.serve({ listen: [{ port: 8080 }] });
  const to = [{ address: server.ips.v4, port: 8080 }];
  const held = lab.pod("client").start("hold", { to, count: 23, everyMs: 1, upload: 101, download: 103 });
  await held.ready();
  const hooks = (await ownPrograms()).filter(({ name }) => HOOKS.includes(name));
  const asked = readFileSync(BPF_STATS, "utf8");
  writeFileSync(BPF_STATS, "1");

  // The hooks run for every socket of the machine, also others': their state changes come in bursts, packets
  // here all the time. A program that ran for packets would leave no such moment.
  let from = { packets: packetsOf(held.process.pid), runs: runsOf(hooks) };
  const quiet = () => {
    const now = { packets: packetsOf(held.process.pid), runs: runsOf(hooks) };
    if (now.packets - from.packets < 1009) return false;
    const runs = now.runs - from.runs;
    from = now;
    return runs < 20;
  };

  try {
    await eventually("a thousand packets with hardly a run of our hooks", quiet, 40_000);
    await held.close();
  } finally {
    writeFileSync(BPF_STATS, asked);
  }

  // That runs were counted at all: each of the 23 ends of a client has closed.
  expect(runsOf(hooks) - from.runs).toBeGreaterThanOrEqual(23);
});

const BPF_STATS = "/proc/sys/kernel/bpf_stats_enabled";
const HOOKS = Object.entries(ATTACHED).flatMap(([name, at]) => (at.startsWith("raw_tracepoint") ? [name] : []));

interface Program {
  readonly id: number;
  readonly type: string;
  readonly name: string;
}

interface Link {
  readonly id: number;
  readonly type: string;
  readonly prog_id: number;
  readonly tp_name?: string;
  readonly target_name?: string;
}

/** What the kernel lists, of the whole machine. */
async function listed<T>(what: "prog" | "link"): Promise<T[]> {
  return JSON.parse(await run(["bpftool", "-j", what, "show"])) as T[];
}

/** Every program that the probe holds: it opens all of the object that it loads, and nothing else. */
async function ownPrograms(): Promise<Program[]> {
  const ids = new Set(heldPrograms().map((info) => numberIn(info, "prog_id")));
  return (await listed<Program>("prog")).filter(({ id }) => ids.has(id));
}

/** How often they ran, as far as the kernel was asked to count. */
function runsOf(programs: readonly Program[]): number {
  const ids = new Set(programs.map(({ id }) => id));
  const infos = heldPrograms().filter((info) => ids.has(numberIn(info, "prog_id")));
  return infos.reduce((sum, info) => sum + numberIn(info, "run_cnt"), 0);
}

/** What the kernel says of each of the probe's open files that is a program. */
function heldPrograms(): string[] {
  const directory = `/proc/${node.probe.pid}/fdinfo`;
  return readdirSync(directory)
    .flatMap((fd) => readIfThere(join(directory, fd)) ?? []) // an iterator's file comes and goes with each exchange
    .filter((info) => info.includes("prog_type:"));
}

function numberIn(info: string, name: string): number {
  return Number(new RegExp(`^${name}:\\t(\\d+)$`, "m").exec(info)?.[1]);
}

/** TCP segments both ways, as the process's net namespace counts them. */
function packetsOf(pid: number): number {
  const { Tcp } = parseSnmp(readFileSync(`/proc/${pid}/net/snmp`, "utf8"));
  return (Tcp?.InSegs ?? 0) + (Tcp?.OutSegs ?? 0);
}

/** Status files of a process's threads. */
function threads(pid: number): string[] {
  return threadFiles(pid, "status");
}

function children(pid: number): number[] {
  const pids = readIfThere(`/proc/${pid}/task/${pid}/children`) ?? "";
  return pids.split(" ").filter(Boolean).map(Number);
}

/** Of one thread; its real, effective, saved and file system ids, each once. */
function rightsOf(status: string) {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1] ?? "missing";
  const ids = (name: string) => [...new Set(field(name).split(/\s+/).filter(Boolean).map(Number))];
  return {
    users: ids("Uid"),
    groups: ids("Gid"),
    supplementary: ids("Groups"),
    inheritable: field("CapInh"),
    permitted: field("CapPrm"),
    effective: field("CapEff"),
    bounding: field("CapBnd"),
    ambient: field("CapAmb"),
    noNewPrivileges: field("NoNewPrivs") === "1",
    seccomp: Number(field("Seccomp")),
  };
}
